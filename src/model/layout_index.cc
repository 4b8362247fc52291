// SPDX-License-Identifier: Apache-2.0
#include "model/layout_index.h"

#include <ATen/ops/amax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <cstring>

namespace slim::model {
namespace {

constexpr int64_t kMostChildren = 16;

at::Tensor to_tensor(const std::vector<int64_t>& values, at::Device device) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::memcpy(tensor.data_ptr<int64_t>(), values.data(), values.size() * sizeof(int64_t));
  return tensor.to(device);
}

at::Tensor children_tensor(const TokenLayout& layout, int level, at::Device device) {
  std::vector<int64_t> index;
  index.reserve(static_cast<size_t>(layout.rows(level + 1) * kMostChildren));
  for (const Children& cell : layout.children(level)) {
    for (int64_t k = 0; k < kMostChildren / 2; ++k) {
      index.push_back(cell.first + std::min(k, cell.count - 1));
      index.push_back(cell.second + std::min(k, cell.count - 1));
    }
  }
  return to_tensor(index, device);
}

}  // namespace

LayoutIndex make_layout_index(const TokenLayout& layout, at::Device device) {
  std::vector<int64_t> time, space, frame;
  for (const RowCell& cell : layout.cells(0)) {
    time.push_back(cell.t);
    space.push_back((cell.d * kTokenGrid + cell.h) * kTokenGrid + cell.w);
    frame.push_back(cell.clip * kClipFrames + cell.t);
  }
  return {.time = to_tensor(time, device),
          .space = to_tensor(space, device),
          .frame = to_tensor(frame, device),
          .children = {children_tensor(layout, 0, device), children_tensor(layout, 1, device)},
          .clip_major = to_tensor(layout.clip_major(), device)};
}

at::Tensor pool_children(const at::Tensor& rows, const at::Tensor& children) {
  return rows.index_select(0, children).view({-1, kMostChildren, rows.size(1)}).amax(1);
}

}  // namespace slim::model
