// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace slim::image {

/// Rows of an affine map of 3-D points, [3][4].
using Affine = std::array<std::array<double, 4>, 3>;

/// A lattice of voxels and where it lies. scanner_from_voxel maps a voxel centre to RAS+ mm; shear is allowed.
struct VoxelGrid {
  std::array<int64_t, 3> size{};
  Affine scanner_from_voxel{};
  int64_t voxels() const { return size[0] * size[1] * size[2]; }
  bool operator==(const VoxelGrid&) const = default;
};

Affine inverse(const Affine& affine);                    // of a non-singular map
Affine compose(const Affine& outer, const Affine& inner);  // outer(inner(x))
std::array<double, 3> apply(const Affine& affine, const std::array<double, 3>& point);
double determinant(const Affine& affine);                // of the 3x3 part
VoxelGrid slim_grid();                                   // 96^3, Note [Grid]

}  // namespace slim::image
