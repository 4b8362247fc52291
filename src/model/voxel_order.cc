// SPDX-License-Identifier: Apache-2.0
#include "model/voxel_order.h"

#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>

#include <string>

#include "core/error.h"
#include "model/layout_index.h"

namespace slim::model {
namespace {

constexpr int64_t kCubes = kTokenGrid * kTokenGrid * kTokenGrid;

std::vector<int64_t> grid_index_of(const TokenSet& tokens) {
  std::vector<int64_t> index;
  for (const TokenCell& cell : tokens.cells) {
    index.push_back(cell.grid_index());
  }
  return index;
}

}  // namespace

at::Tensor cubes_from_dense(const at::Tensor& dense) {
  return dense
      .reshape({dense.size(0) * dense.size(1), kTokenGrid, kTokenEdge, kTokenGrid, kTokenEdge, kTokenGrid,
                kTokenEdge})
      .permute({0, 1, 3, 5, 2, 4, 6})
      .reshape({dense.size(0), dense.size(1), kCubes, kTokenVoxels});
}

at::Tensor dense_from_cubes(const at::Tensor& cubes) {
  return cubes
      .reshape({cubes.size(0) * cubes.size(1), kTokenGrid, kTokenGrid, kTokenGrid, kTokenEdge, kTokenEdge,
                kTokenEdge})
      .permute({0, 1, 4, 2, 5, 3, 6})
      .reshape({cubes.size(0), cubes.size(1), kSlimSize, kSlimSize, kSlimSize});
}

at::Tensor cubes_from_packed(const at::Tensor& packed, const std::vector<int64_t>& grid_index) {
  const at::Tensor grid = at::zeros({packed.size(0), packed.size(1), kCubes, kTokenVoxels}, packed.options());
  return at::index_copy(grid, 2, index_tensor(grid_index, packed.device()), packed);
}

at::Tensor packed_from_dense(const at::Tensor& dense, const TokenSet& tokens, Outside outside) {
  const at::Tensor cubes = cubes_from_dense(dense);
  at::Tensor packed = cubes.index_select(2, index_tensor(grid_index_of(tokens), dense.device()));
  if (outside == Outside::Refuse) {
    const int64_t lost = cubes.count_nonzero().item<int64_t>() - packed.count_nonzero().item<int64_t>();
    if (lost != 0) {
      throw Error(message::kBadValues, std::to_string(lost) + " values outside the token set are not 0.");
    }
  }
  return packed;
}

at::Tensor dense_from_packed(const at::Tensor& packed, const TokenSet& tokens) {
  return dense_from_cubes(cubes_from_packed(packed, grid_index_of(tokens)));
}

}  // namespace slim::model
