// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace slim::image {

/// Rows of an affine map of 3-D points, [3][4].
using Affine = std::array<std::array<double, 4>, 3>;

/// A lattice of voxels and where it lies. scanner_from_voxel maps a voxel centre to RAS+ mm; shear is
/// allowed.
struct VoxelGrid {
  std::array<int64_t, 3> size{};
  Affine scanner_from_voxel{};
  int64_t voxels() const { return size[0] * size[1] * size[2]; }
  bool operator==(const VoxelGrid&) const = default;
};

/// The inverse of a non-singular map.
Affine inverse(const Affine& affine);
/// outer(inner(x)).
Affine compose(const Affine& outer, const Affine& inner);
/// The image of a point. By value, because for a temporary a reference would lose to std::apply, which ADL
/// finds too.
std::array<double, 3> apply(Affine affine, std::array<double, 3> point);
/// Determinant of the 3 x 3 part; negative where the storage order is a mirror of RAS+.
double determinant(const Affine& affine);
/// Distance between neighbours along each stored axis, mm.
std::array<double, 3> spacing_mm(const VoxelGrid& grid);
/// Whether the map is finite and far enough from singular to be inverted.
bool is_invertible(const Affine& affine);
/// The largest distance between the places that two finite maps give to the corners of a lattice of this
/// size, mm.
double corner_distance_mm(const std::array<int64_t, 3>& size, const Affine& first, const Affine& second);
/// The lattice of Note [Grid]: 96 x 96 x 96 voxels of 2 mm.
VoxelGrid slim_grid();

}  // namespace slim::image
