// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/encoder_options.h"
#include "model/layout_index.h"
#include "model/mask_unit_attention.h"

namespace slim::model {

/// One block of the encoder: attention (inside mask units or over the clip) and MLP, with pooling and
/// doubling where its shape says so.
class HieraBlockImpl : public torch::nn::Module {
 public:
  HieraBlockImpl(const BlockShape& shape, double norm_eps);
  /// [rows(level_in), dim_in] -> [rows(level_out), dim_out], differentiable. Rows lie location-major in
  /// blocks that attend inside mask units, else clip-major.
  at::Tensor forward(const at::Tensor& x, const TokenLayout& layout, const LayoutIndex& index) const;
  const BlockShape& shape() const { return shape_; }

  LayerNorm norm1, norm2;
  Attention attn;
  Mlp mlp;
  Linear proj{nullptr};  // only where the width doubles

 private:
  BlockShape shape_;
};
TORCH_MODULE(HieraBlock);

}  // namespace slim::model
