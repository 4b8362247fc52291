// SPDX-License-Identifier: Apache-2.0
#include "preproc/lattice.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/slim_grid.h"
#include "core/token_set.h"

namespace slim::preproc {
namespace {

constexpr double kLatticeToleranceMm = 1e-3;

std::array<int64_t, 3> slim_voxel(int32_t index) {
  return {index % kSlimSize, index / kSlimSize % kSlimSize, index / (kSlimSize * kSlimSize)};
}

std::array<double, 3> slim_point(int32_t index) {
  const auto [x, y, z] = slim_voxel(index);
  return {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)};
}

/// Length in mm of a difference in input voxels.
double length_mm(const image::Affine& scanner_from_voxel, const std::array<double, 3>& voxels) {
  double sum = 0.0;
  for (const auto& row : scanner_from_voxel) {
    const double part = row[0] * voxels[0] + row[1] * voxels[1] + row[2] * voxels[2];
    sum += part * part;
  }
  return std::sqrt(sum);
}

/// The storage index of a voxel, -1 outside.
int32_t storage_index(const std::array<int64_t, 3>& voxel, const std::array<int64_t, 3>& size) {
  for (size_t a = 0; a < 3; ++a) {
    if (voxel[a] < 0 || voxel[a] >= size[a]) {
      return -1;
    }
  }
  return static_cast<int32_t>(voxel[0] + size[0] * (voxel[1] + size[1] * voxel[2]));
}

bool within_half_voxel(const std::array<double, 3>& point, const std::array<int64_t, 3>& size) {
  for (size_t a = 0; a < 3; ++a) {
    if (!(point[a] >= -0.5 && point[a] <= static_cast<double>(size[a]) - 0.5)) {
      return false;
    }
  }
  return true;
}

}  // namespace

image::Affine voxel_from_slim(const image::VoxelGrid& input) {
  return image::compose(image::inverse(input.scanner_from_voxel), image::slim_grid().scanner_from_voxel);
}

std::optional<LatticeMap> same_lattice(const image::VoxelGrid& input) {
  const image::Affine exact = voxel_from_slim(input);
  LatticeMap map;
  image::Affine rounded{};
  std::array<bool, 3> taken{};
  for (size_t row = 0; row < 3; ++row) {  // rows are input axes
    int hits = 0;
    for (size_t column = 0; column < 3; ++column) {
      const double whole = std::round(exact[row][column]);
      rounded[row][column] = whole;
      if (whole == 0.0) {
        continue;
      }
      if (std::abs(whole) != 1.0 || taken[column]) {
        return std::nullopt;
      }
      taken[column] = true;
      ++hits;
      map.axis[column] = static_cast<int>(row);
      map.sign[column] = whole > 0 ? 1 : -1;
    }
    const double offset = std::round(exact[row][3]);
    if (hits != 1 || !(std::abs(offset) < 1e6)) {
      return std::nullopt;
    }
    rounded[row][3] = offset;
    map.offset[row] = static_cast<int64_t>(offset);
  }
  for (int corner = 0; corner < 8; ++corner) {
    const double far = static_cast<double>(kSlimSize - 1);
    const std::array<double, 3> point{(corner & 1) != 0 ? far : 0.0, (corner & 2) != 0 ? far : 0.0,
                                      (corner & 4) != 0 ? far : 0.0};
    const auto a = image::apply(exact, point), b = image::apply(rounded, point);
    if (!(length_mm(input.scanner_from_voxel, {a[0] - b[0], a[1] - b[1], a[2] - b[2]}) <=
          kLatticeToleranceMm)) {
      return std::nullopt;
    }
  }
  return map;
}

std::vector<int32_t> gather_table(const LatticeMap& map, const std::array<int64_t, 3>& input_size,
                                  std::span<const int32_t> slim_indices) {
  std::vector<int32_t> table;
  table.reserve(slim_indices.size());
  for (const int32_t index : slim_indices) {
    const auto slim = slim_voxel(index);
    std::array<int64_t, 3> voxel = map.offset;
    for (size_t r = 0; r < 3; ++r) {
      voxel[static_cast<size_t>(map.axis[r])] += map.sign[r] * slim[r];
    }
    table.push_back(storage_index(voxel, input_size));
  }
  return table;
}

std::vector<int32_t> nearest_table(const image::VoxelGrid& input, std::span<const int32_t> slim_indices) {
  const image::Affine map = voxel_from_slim(input);
  std::vector<int32_t> table;
  table.reserve(slim_indices.size());
  for (const int32_t index : slim_indices) {
    const auto point = image::apply(map, slim_point(index));
    if (!within_half_voxel(point, input.size)) {
      table.push_back(-1);
      continue;
    }
    std::array<int64_t, 3> voxel{};
    for (size_t a = 0; a < 3; ++a) {
      voxel[a] = std::clamp<int64_t>(std::llround(point[a]), 0, input.size[a] - 1);
    }
    table.push_back(storage_index(voxel, input.size));
  }
  return table;
}

std::vector<std::array<double, 3>> points_in_voxels(const image::VoxelGrid& input,
                                                    std::span<const int32_t> slim_indices) {
  const image::Affine map = voxel_from_slim(input);
  std::vector<std::array<double, 3>> points;
  points.reserve(slim_indices.size());
  for (const int32_t index : slim_indices) {
    points.push_back(image::apply(map, slim_point(index)));
  }
  return points;
}

std::vector<int32_t> all_slim_indices() {
  std::vector<int32_t> indices(static_cast<size_t>(kSlimVoxels));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

double brain_share_in_view(const image::VoxelGrid& input) {
  const image::Affine map = voxel_from_slim(input);
  const std::vector<uint8_t>& brain = packaged_brain_mask();
  int64_t voxels = 0, seen = 0;
  for (size_t index = 0; index < brain.size(); ++index) {
    if (brain[index] != 0) {
      ++voxels;
      seen +=
          within_half_voxel(image::apply(map, slim_point(static_cast<int32_t>(index))), input.size) ? 1 : 0;
    }
  }
  return static_cast<double>(seen) / static_cast<double>(voxels);
}

std::array<double, 3> voxel_edges_mm(const image::VoxelGrid& grid) {
  return {length_mm(grid.scanner_from_voxel, {1, 0, 0}), length_mm(grid.scanner_from_voxel, {0, 1, 0}),
          length_mm(grid.scanner_from_voxel, {0, 0, 1})};
}

}  // namespace slim::preproc
