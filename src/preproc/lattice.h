// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "image/voxel_grid.h"

namespace slim::preproc {

/// A map from SLIM voxels to input voxels that hits voxel centres: input[axis[r]] = sign[r] * slim[r] +
/// offset[axis[r]].
struct LatticeMap {
  std::array<int, 3> axis{};        // the input's axis that runs along SLIM axis r
  std::array<int, 3> sign{};        // +1 or -1
  std::array<int64_t, 3> offset{};  // by input axis
};

// Note [Same lattice]. An input lies on the SLIM lattice when the map from SLIM voxels to its voxels is a
// signed permutation with whole offsets, to 1e-3 mm at the corners of the SLIM grid. Then values are copied
// by index, whatever the axis order, flips, padding or cropping, and no arithmetic touches them. Otherwise
// every voxel is interpolated once.
/// The map when `input` lies on the SLIM lattice (Note [Same lattice]).
std::optional<LatticeMap> same_lattice(const image::VoxelGrid& input);

/// voxel_from_slim of any input: SLIM voxel coordinates to continuous input voxel coordinates.
image::Affine voxel_from_slim(const image::VoxelGrid& input);

/// For SLIM storage indices (x fastest): the input's storage index (x fastest), -1 where the input does not
/// reach.
std::vector<int32_t> gather_table(const LatticeMap& map, const std::array<int64_t, 3>& input_size,
                                  std::span<const int32_t> slim_indices);

/// As gather_table for any input: the nearest voxel, -1 beyond half a voxel outside.
std::vector<int32_t> nearest_table(const image::VoxelGrid& input, std::span<const int32_t> slim_indices);

/// Continuous input voxel coordinates of SLIM storage indices.
std::vector<std::array<double, 3>> points_in_voxels(const image::VoxelGrid& input,
                                                    std::span<const int32_t> slim_indices);

/// 0, 1, ..., 96^3 - 1.
std::vector<int32_t> all_slim_indices();

/// Share of the packaged brain mask (235,818 voxels) that the input's field of view holds, half a voxel of
/// rim included.
double brain_share_in_view(const image::VoxelGrid& input);

/// Edge lengths of a voxel, mm.
std::array<double, 3> voxel_edges_mm(const image::VoxelGrid& grid);

}  // namespace slim::preproc
