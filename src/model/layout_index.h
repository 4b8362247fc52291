// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "model/token_layout.h"

namespace slim::model {

/// A layout's row numbers as int64 tensors on the device of the rows.
struct LayoutIndex {
  at::Tensor time, space;  // [rows(0)]: rows of the two position tables
  at::Tensor frame;        // [rows(0)]: clip * 40 + t
  at::Tensor place;        // [rows(0)]: place of the token in a packed frame, -1 outside the token set
  std::array<at::Tensor, kLevels - 1>
      children;           // [rows(level + 1) * 16]; absent children repeat a present one
  at::Tensor clip_major;  // [rows(2)]
};

/// The numbers as an int64 tensor on a device.
at::Tensor index_tensor(const std::vector<int64_t>& values, at::Device device);

// Note [Row numbers]. All mask units of a location have the same rows but for their clip, their time and
// where they begin. So the host writes one unit of each location and a line for each unit, a thousandth of
// the rows of a large batch, and the device spreads them out.
LayoutIndex make_layout_index(const TokenLayout& layout, at::Device device);

/// Where each row of level 0 or 1 lies among the children of the final rows, in the rows' (location-major)
/// order: final row (clip-major) * k^4 + ((t*k + d)*k + h)*k + w, with k = 4 or 2 children an edge and (t, d,
/// h, w) the child's place inside its cell. int64 [rows(level)].
at::Tensor child_slots(const TokenLayout& layout, int level, at::Device device);

/// Children of a pooled row at most: 2 frames x 2 x 2 x 2 cells.
inline constexpr int64_t kMostChildren = 16;

/// Maximum over the valid children of every row of level + 1: [rows(level), C] -> [rows(level + 1), C],
/// differentiable (the first of equal children gets the gradient). No row is a child of two.
at::Tensor pool_children(const at::Tensor& rows, const at::Tensor& children);

}  // namespace slim::model
