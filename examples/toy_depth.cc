// SPDX-License-Identifier: Apache-2.0
#include "examples/toy_depth.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/slim_grid.h"
#include "core/token_set.h"
#include "examples/toy_space.h"

namespace slim::toy {
namespace {

using image::Affine;
using image::apply;
using image::compose;
using image::inverse;
using image::VoxelGrid;

/// Squared distances to the lowest parabola along one line (Felzenszwalb and Huttenlocher 2012).
void distance_line(std::vector<double>& line, std::vector<double>& result, std::vector<size_t>& place,
                   std::vector<double>& border) {
  const size_t n = line.size();
  size_t last = 0;
  place[0] = 0;
  border[0] = -std::numeric_limits<double>::infinity();
  border[1] = std::numeric_limits<double>::infinity();
  const auto meet = [&](size_t q, size_t v) {
    const auto x = static_cast<double>(q), y = static_cast<double>(v);
    return ((line[q] + x * x) - (line[v] + y * y)) / (2.0 * (x - y));
  };
  for (size_t q = 1; q < n; ++q) {
    double at = meet(q, place[last]);
    while (at <= border[last]) {
      --last;
      at = meet(q, place[last]);
    }
    ++last;
    place[last] = q;
    border[last] = at;
    border[last + 1] = std::numeric_limits<double>::infinity();
  }
  for (size_t q = 0, k = 0; q < n; ++q) {
    while (border[k + 1] < static_cast<double>(q)) {
      ++k;
    }
    const double step = static_cast<double>(q) - static_cast<double>(place[k]);
    result[q] = step * step + line[place[k]];
  }
}

/// Distance in voxels from every voxel to the nearest one that is marked.
std::vector<float> distance_to(const std::vector<uint8_t>& marked, const std::array<int64_t, 3>& size) {
  std::vector<float> squared(marked.size());
  std::transform(marked.begin(), marked.end(), squared.begin(),
                 [](uint8_t flag) { return flag != 0 ? 0.0F : 1e8F; });
  std::array<int64_t, 3> stride{1, size[0], size[0] * size[1]};
  for (size_t axis = 0; axis < 3; ++axis) {
    const auto n = static_cast<size_t>(size[axis]);
    std::vector<double> line(n), result(n), border(n + 1);
    std::vector<size_t> place(n);
    const size_t a = (axis + 1) % 3, b = (axis + 2) % 3;
    for (int64_t i = 0; i < size[a]; ++i) {
      for (int64_t j = 0; j < size[b]; ++j) {
        float* const start = squared.data() + i * stride[a] + j * stride[b];
        for (size_t k = 0; k < n; ++k) {
          line[k] = static_cast<double>(start[static_cast<int64_t>(k) * stride[axis]]);
        }
        distance_line(line, result, place, border);
        for (size_t k = 0; k < n; ++k) {
          start[static_cast<int64_t>(k) * stride[axis]] = static_cast<float>(result[k]);
        }
      }
    }
  }
  std::transform(squared.begin(), squared.end(), squared.begin(),
                 [](float value) { return std::sqrt(value); });
  return squared;
}

}  // namespace

std::vector<float> packaged_depth(const VoxelGrid& canvas) {
  std::vector<uint8_t> inside(static_cast<size_t>(canvas.voxels()), 0);
  const std::vector<uint8_t>& mask = packaged_brain_mask();
  const Affine canvas_from_slim = compose(inverse(canvas.scanner_from_voxel), kSlimScannerFromVoxel);
  for_each_voxel(image::slim_grid(), [&](size_t at, const Point& slim) {
    const Point voxel = apply(canvas_from_slim, slim);
    const int64_t row = std::lround(voxel[1]) + canvas.size[1] * std::lround(voxel[2]);
    inside[static_cast<size_t>(std::lround(voxel[0]) + canvas.size[0] * row)] |= mask[at];
  });
  std::vector<uint8_t> outside(inside.size());
  std::transform(inside.begin(), inside.end(), outside.begin(),
                 [](uint8_t flag) { return flag == 0 ? 1 : 0; });
  std::vector<float> depth = distance_to(outside, canvas.size);
  const std::vector<float> height = distance_to(inside, canvas.size);
  const auto edge_mm = static_cast<float>(spacing_mm(canvas)[0]);
  for (size_t i = 0; i < depth.size(); ++i) {  // the surface lies half a voxel from either side
    depth[i] = edge_mm * (inside[i] != 0 ? depth[i] - 0.5F : 0.5F - height[i]);
  }
  return depth;
}

}  // namespace slim::toy
