// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace slim::model {

/// Drops either branch of block i for a whole clip with probability rate x i / (N - 1), and scales what is
/// kept by 1 / (1 - probability). Draws: word 2 i + branch of stream (seed, "drop_path", epoch, position of
/// the clip).
struct DropPath {
  double rate = 0.0;
  uint64_t seed = 0, epoch = 0;
  std::vector<uint64_t> positions{};  // one for each clip
};

/// The scale of one branch (0 attention, 1 MLP) for every row, [rows, 1]: row_clips [rows] names each row's
/// clip. Undefined when nothing can be dropped.
at::Tensor drop_path_scale(const DropPath& drop, int64_t block, int64_t blocks, int branch,
                           const at::Tensor& row_clips, at::ScalarType type);

}  // namespace slim::model
