// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "model/encoder_options.h"
#include "model/layers.h"
#include "model/token_layout.h"

namespace slim::model {

/// Number of a final cell on the 10 x 6 x 6 x 6 grid: ((t*6 + d)*6 + h)*6 + w.
int64_t final_cell_index(const RowCell& cell);
inline constexpr int64_t kFinalCells = 2160;

/// A Linear over all children of a final cell, stored as a 4-D convolution: `weight` [out, in, k, k, k, k],
/// `bias` [out].
class FusionHeadImpl : public torch::nn::Module {
 public:
  FusionHeadImpl(int64_t in, int64_t out, int64_t edge);
  /// rows [n, in] at slots [n] (child_slots) -> [cells, out]; children without a row count as zeros.
  at::Tensor forward(const at::Tensor& rows, const at::Tensor& slots, int64_t cells) const;

  at::Tensor weight, bias;
};
TORCH_MODULE(FusionHead);

/// `multi_scale_fusion_heads.{0,1}`: adds to every final row what its children at the ends of stages 0 and 1
/// say. Serves pre-training only.
class FusionHeadsImpl : public torch::nn::Module {
 public:
  explicit FusionHeadsImpl(const EncoderOptions& options);
  /// stage_rows [rows(0), E], [rows(1), 2E] location-major, final_rows [rows(2), width] clip-major ->
  /// [rows(2), width].
  at::Tensor forward(const std::array<at::Tensor, 2>& stage_rows, const at::Tensor& final_rows,
                     const TokenLayout& layout) const;

  std::array<FusionHead, 2> heads{FusionHead{nullptr}, FusionHead{nullptr}};
};
TORCH_MODULE(FusionHeads);

}  // namespace slim::model
