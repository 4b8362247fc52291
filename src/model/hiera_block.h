// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/encoder_options.h"
#include "model/layout_index.h"
#include "model/mask_unit_attention.h"

namespace slim::model {

/// Which rows a block attends over: groups of queries and of keys, and the children of a pooled row where it
/// pools. The scales [queries, 1] multiply the two branches (drop path); undefined = 1.
struct BlockRows {
  std::vector<Slab> queries, keys;
  at::Tensor children{};
  at::Tensor attention_scale{}, mlp_scale{};
};

/// The rows of a block of the encoder. Rows lie location-major in blocks that attend inside mask units, else
/// clip-major.
BlockRows block_rows(const BlockShape& shape, const TokenLayout& layout, const LayoutIndex& index);

/// One block of the encoder: attention (inside mask units or over the clip) and MLP, with pooling and
/// doubling where its shape says so.
class HieraBlockImpl : public torch::nn::Module {
 public:
  HieraBlockImpl(const BlockShape& shape, double norm_eps);
  /// [keys, dim_in] -> [queries, dim_out], differentiable.
  at::Tensor forward(const at::Tensor& x, const BlockRows& rows) const;
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
