// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "core/token_set.h"

namespace slim::model {

/// Cuts every frame into cubes: [clips, 40, 96, 96, 96] -> [clips, 40, 13824, 64], cubes by (d, h, w), voxels
/// in x, y, z row-major order.
at::Tensor cubes_from_dense(const at::Tensor& dense);
/// The inverse of cubes_from_dense.
at::Tensor dense_from_cubes(const at::Tensor& cubes);

/// Puts packed tokens [clips, 40, tokens, 64] (store order) on the grid of cubes [clips, 40, 13824, 64];
/// zeros elsewhere.
at::Tensor cubes_from_packed(const at::Tensor& packed, const std::vector<int64_t>& grid_index);

/// What packed_from_dense does with values that no token holds.
enum class Outside { Refuse, Drop };
/// [clips, 40, 96, 96, 96] -> [clips, 40, tokens, 64]; Error SB2015 with their number when voxels outside the
/// set are not 0, unless they are to be dropped.
at::Tensor packed_from_dense(const at::Tensor& dense, const TokenSet& tokens,
                             Outside outside = Outside::Refuse);
/// [clips, 40, tokens, 64] -> [clips, 40, 96, 96, 96], 0 outside the set.
at::Tensor dense_from_packed(const at::Tensor& packed, const TokenSet& tokens);

}  // namespace slim::model
