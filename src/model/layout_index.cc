// SPDX-License-Identifier: Apache-2.0
#include "model/layout_index.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace slim::model {
namespace {

at::Tensor children_tensor(const TokenLayout& layout, int level, at::Device device) {
  std::vector<int64_t> index;
  index.reserve(static_cast<size_t>(layout.rows(level + 1) * kMostChildren));
  for (const Children& cell : layout.children(level)) {
    for (int64_t k = 0; k < kMostChildren / 2; ++k) {
      index.push_back(cell.first + std::min(k, cell.count - 1));
      index.push_back(cell.second + std::min(k, cell.count - 1));
    }
  }
  return index_tensor(index, device);
}

}  // namespace

at::Tensor index_tensor(const std::vector<int64_t>& values, at::Device device) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.data_ptr<int64_t>());
  return tensor.to(device);
}

LayoutIndex make_layout_index(const TokenLayout& layout, at::Device device) {
  std::vector<int64_t> time, space, frame;
  for (const RowCell& cell : layout.cells(0)) {
    time.push_back(cell.t);
    space.push_back((cell.d * kTokenGrid + cell.h) * kTokenGrid + cell.w);
    frame.push_back(cell.clip * kClipFrames + cell.t);
  }
  return {.time = index_tensor(time, device),
          .space = index_tensor(space, device),
          .frame = index_tensor(frame, device),
          .children = {children_tensor(layout, 0, device), children_tensor(layout, 1, device)},
          .clip_major = index_tensor(layout.clip_major(), device)};
}

}  // namespace slim::model
