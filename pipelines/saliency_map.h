// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "image/voxel_grid.h"
#include "pipelines/atlas.h"

namespace slim::pipelines {

// A map in store order holds a number for each stored voxel [tokens * 64] of the packaged token set; `valid`
// are the bits of the run's valid voxels as in its clip store.

/// The map on the SLIM grid, [96^3], x fastest: 0 outside the valid voxels.
std::vector<float> on_slim_grid(std::span<const double> map, std::span<const uint8_t> valid);

/// A map on the SLIM grid, brought to another grid of the same space by linear interpolation, x fastest; 0
/// where the SLIM grid does not reach. Sums are not kept.
std::vector<float> on_other_grid(std::span<const float> slim_map, const image::VoxelGrid& grid);

/// The table of an atlas's regions: index name n_voxels mean mean_abs share rank, over the valid voxels of
/// each; share is that of the whole map's sum of absolute values, rank 1 the largest share.
std::string region_table(const Atlas& atlas, std::span<const double> map, std::span<const uint8_t> valid);

/// Spearman's correlation of the absolute values of two maps over the valid voxels; 0 where one is constant.
double rank_correlation_of_abs(std::span<const double> a, std::span<const double> b,
                               std::span<const uint8_t> valid);

}  // namespace slim::pipelines
