// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "image/voxel_grid.h"

namespace slim::toy {

using Point = std::array<double, 3>;

inline constexpr image::Affine kIdentity{{{1.0, 0.0, 0.0, 0.0}, {0.0, 1.0, 0.0, 0.0}, {0.0, 0.0, 1.0, 0.0}}};
/// The box of FSL's 91 x 109 x 91 voxels of 2 mm in MNI space (voxel centres).
inline constexpr Point kMniLow{-90.0, -126.0, -72.0}, kMniHigh{90.0, 90.0, 108.0};

/// Calls body(place in storage, voxel) for all voxels of a grid.
template <class Body>
void for_each_voxel(const image::VoxelGrid& grid, const Body& body) {
  size_t at = 0;
  for (int64_t z = 0; z < grid.size[2]; ++z) {
    for (int64_t y = 0; y < grid.size[1]; ++y) {
      for (int64_t x = 0; x < grid.size[0]; ++x, ++at) {
        body(at, Point{static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
      }
    }
  }
}

/// Turns by the angles (rad, about x, then y, then z), scales about the origin, then shifts (mm).
image::Affine similarity(const std::array<double, 3>& angles, double scale,
                         const std::array<double, 3>& shift_mm);

/// The lattice with axes named by a code such as LAS or PIR that fills the box low_mm .. high_mm (voxel
/// centres).
image::VoxelGrid box_grid(std::string_view orientation, const std::array<double, 3>& low_mm,
                          const std::array<double, 3>& high_mm, double voxel_mm);

}  // namespace slim::toy
