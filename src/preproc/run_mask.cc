// SPDX-License-Identifier: Apache-2.0
#include "preproc/run_mask.h"

#include <algorithm>
#include <array>

#include "core/slim_grid.h"
#include "core/token_set.h"
#include "preproc/lattice.h"
#include "preproc/resample.h"

namespace slim::preproc {
namespace {

constexpr double kMaskLevel = 0.5;
constexpr double kMaskedShare = 0.60, kMaskedDice = 0.80;  // when zeros are the maker's background

const std::array<int64_t, 3> kSlimExtent{kSlimSize, kSlimSize, kSlimSize};

/// Non-zero on the whole grid: in every frame inside the tokens, in every summed frame outside.
GridMask nonzero_voxels(const PackedBold& bold, const VoxelStatistics& statistics) {
  GridMask mask{.size = kSlimExtent, .inside = bold.grid_nonzero};
  const std::vector<int32_t> at = packaged_token_set().voxel_indices();
  for (size_t v = 0; v < at.size(); ++v) {
    mask.inside[static_cast<size_t>(at[v])] = bold.covered[v] != 0 && statistics.never_zero[v] != 0 ? 1 : 0;
  }
  return mask;
}

}  // namespace

GridMask packaged_brain() { return {.size = kSlimExtent, .inside = packaged_brain_mask()}; }

GridMask mask_on_slim_grid(const image::Volume& mask) {
  const std::vector<int32_t> everything = all_slim_indices();
  GridMask out{.size = kSlimExtent, .inside = std::vector<uint8_t>(everything.size(), 0)};
  if (const std::optional<LatticeMap> map = same_lattice(mask.grid)) {
    const std::vector<int32_t> table = gather_table(*map, mask.grid.size, everything);
    for (size_t v = 0; v < table.size(); ++v) {
      out.inside[v] = table[v] >= 0 && mask.values[static_cast<size_t>(table[v])] >= kMaskLevel ? 1 : 0;
    }
    return out;
  }
  const std::vector<float> values =
      interpolate_linear(mask.values, mask.grid.size, points_in_voxels(mask.grid, everything));
  std::transform(values.begin(), values.end(), out.inside.begin(),
                 [](float v) { return v >= kMaskLevel ? 1 : 0; });
  return out;
}

RunMask run_mask(const std::optional<image::Volume>& producer, const PackedBold& bold,
                 const VoxelStatistics& statistics) {
  if (producer.has_value()) {
    return {.brain = mask_on_slim_grid(*producer), .source = MaskSource::kProducer};
  }
  GridMask nonzero = nonzero_voxels(bold, statistics);
  const GridMask covered{.size = kSlimExtent, .inside = bold.grid_covered};
  const GridMask brain = packaged_brain();
  const double share =
      static_cast<double>(nonzero.count()) / static_cast<double>(std::max<int64_t>(1, covered.count()));
  if (share <= kMaskedShare && dice(nonzero, brain) >= kMaskedDice) {
    return {.brain = std::move(nonzero), .source = MaskSource::kNonzero};
  }
  for (size_t v = 0; v < brain.inside.size(); ++v) {
    nonzero.inside[v] = nonzero.inside[v] != 0 && brain.inside[v] != 0 ? 1 : 0;
  }
  return {.brain = std::move(nonzero), .source = MaskSource::kTemplate};
}

std::vector<uint8_t> valid_voxels(const RunMask& mask, const PackedBold& bold,
                                  const VoxelStatistics& statistics) {
  const std::vector<int32_t> at = packaged_token_set().voxel_indices();
  std::vector<uint8_t> valid(at.size());
  for (size_t v = 0; v < at.size(); ++v) {
    valid[v] = mask.brain.inside[static_cast<size_t>(at[v])] != 0 && bold.covered[v] != 0 &&
                       statistics.finite[v] != 0 && statistics.varies[v] != 0
                   ? 1
                   : 0;
  }
  return valid;
}

}  // namespace slim::preproc
