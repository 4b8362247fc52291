// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace slim::preproc {

/// A mask of 0/1 on a lattice, x fastest; beyond its border lies 0.
struct GridMask {
  std::array<int64_t, 3> size{};
  std::vector<uint8_t> inside;
  int64_t count() const;
};

GridMask eroded(GridMask mask, int steps);         // 6-neighbours
GridMask dilated(GridMask mask, int steps);        // 6-neighbours
GridMask largest_component(const GridMask& mask);  // 6-neighbours; the first of equals
GridMask holes_filled(GridMask mask);              // background that does not reach the border

/// Twice the shared voxels over the sum of both; 0 when both are empty.
double dice(const GridMask& a, const GridMask& b);
/// Mean position of a mask's voxels, in voxels.
std::array<double, 3> centre_of(const GridMask& mask);

/// A brain mask of a mean EPI image: the widest gap between sorted intensities as threshold, opened, largest
/// component, closed, holes filled. Only voxels that are `covered` are looked at. Empty when its volume is
/// not between 500 and 2,500 mL, whatever the threshold.
GridMask epi_mask(std::span<const double> image, std::span<const uint8_t> covered,
                  const std::array<int64_t, 3>& size, double voxel_ml);

}  // namespace slim::preproc
