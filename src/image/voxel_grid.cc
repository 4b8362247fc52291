// SPDX-License-Identifier: Apache-2.0
#include "image/voxel_grid.h"

#include <algorithm>
#include <cmath>

#include "core/slim_grid.h"

namespace slim::image {

std::array<double, 3> apply(Affine affine, std::array<double, 3> point) {
  std::array<double, 3> result{};
  for (size_t row = 0; row < 3; ++row) {
    const auto& a = affine[row];
    result[row] = a[0] * point[0] + a[1] * point[1] + a[2] * point[2] + a[3];
  }
  return result;
}

Affine compose(const Affine& outer, const Affine& inner) {
  Affine result{};
  for (size_t row = 0; row < 3; ++row) {
    for (size_t column = 0; column < 4; ++column) {
      double sum = column == 3 ? outer[row][3] : 0.0;
      for (size_t k = 0; k < 3; ++k) {
        sum += outer[row][k] * inner[k][column];
      }
      result[row][column] = sum;
    }
  }
  return result;
}

double determinant(const Affine& a) {
  return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) -
         a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
         a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
}

Affine inverse(const Affine& a) {
  const double scale = 1.0 / determinant(a);
  Affine result{};
  for (size_t row = 0; row < 3; ++row) {
    for (size_t column = 0; column < 3; ++column) {
      // Cofactor of the transposed element; cyclic indices carry the sign.
      const size_t r1 = (column + 1) % 3, r2 = (column + 2) % 3, c1 = (row + 1) % 3, c2 = (row + 2) % 3;
      result[row][column] = (a[r1][c1] * a[r2][c2] - a[r1][c2] * a[r2][c1]) * scale;
    }
  }
  for (auto& row : result) {
    row[3] = -(row[0] * a[0][3] + row[1] * a[1][3] + row[2] * a[2][3]);
  }
  return result;
}

std::array<double, 3> spacing_mm(const VoxelGrid& grid) {
  const Affine& a = grid.scanner_from_voxel;
  std::array<double, 3> spacing{};
  for (size_t axis = 0; axis < 3; ++axis) {
    spacing[axis] = std::hypot(a[0][axis], a[1][axis], a[2][axis]);
  }
  return spacing;
}

bool is_invertible(const Affine& affine) {
  double volume = 1.0;
  for (const double spacing : spacing_mm({.size = {1, 1, 1}, .scanner_from_voxel = affine})) {
    volume *= spacing;
  }
  const double offsets = affine[0][3] + affine[1][3] + affine[2][3];
  // Relative to the voxel's volume, so that neither micrometres nor metres look singular.
  return std::isfinite(offsets) && std::isfinite(volume) && volume > 0.0 &&
         std::abs(determinant(affine)) > 1e-6 * volume;
}

double corner_distance_mm(const std::array<int64_t, 3>& size, const Affine& first, const Affine& second) {
  double largest = 0.0;
  for (unsigned corner = 0; corner < 8; ++corner) {
    std::array<double, 3> point{};
    for (unsigned axis = 0; axis < 3; ++axis) {
      point[axis] = (corner >> axis & 1u) != 0 ? static_cast<double>(size[axis] - 1) : 0.0;
    }
    const auto p = apply(first, point), q = apply(second, point);
    largest = std::max(largest, std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]));
  }
  return largest;
}

VoxelGrid slim_grid() {
  return {.size = {kSlimSize, kSlimSize, kSlimSize}, .scanner_from_voxel = kSlimScannerFromVoxel};
}

}  // namespace slim::image
