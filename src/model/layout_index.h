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
  std::array<at::Tensor, kLevels - 1>
      children;           // [rows(level + 1) * 16]; absent children repeat a present one
  at::Tensor clip_major;  // [rows(2)]
};

/// The numbers as an int64 tensor on a device.
at::Tensor index_tensor(const std::vector<int64_t>& values, at::Device device);

LayoutIndex make_layout_index(const TokenLayout& layout, at::Device device);

/// Children of a pooled row at most: 2 frames x 2 x 2 x 2 cells.
inline constexpr int64_t kMostChildren = 16;

/// Maximum over the valid children of every row of level + 1: [rows(level), C] -> [rows(level + 1), C],
/// differentiable (the first of equal children gets the gradient). No row is a child of two.
at::Tensor pool_children(const at::Tensor& rows, const at::Tensor& children);

}  // namespace slim::model
