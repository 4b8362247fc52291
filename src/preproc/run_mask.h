// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image/nifti_io.h"
#include "preproc/morphology.h"
#include "preproc/packed_bold.h"
#include "preproc/voxel_statistics.h"

namespace slim::preproc {

/// Where a run's brain mask came from.
enum class MaskSource { kProducer, kNonzero, kTemplate };

/// The brain of a run on the whole SLIM grid.
struct RunMask {
  GridMask brain;
  MaskSource source = MaskSource::kProducer;
};

/// A mask image on the SLIM grid: copied by index on the same lattice, else linear >= 0.5; 0 where it does
/// not reach.
GridMask mask_on_slim_grid(const image::Volume& mask);

/// The producer's mask; without one the non-zero voxels, if the maker masked the data (they fill at most 60 %
/// of the covered grid and overlap the packaged brain by Dice >= 0.80); else the packaged brain, where never
/// zero.
RunMask run_mask(const std::optional<image::Volume>& producer, const PackedBold& bold,
                 const VoxelStatistics& statistics);

/// Which stored values count: brain, covered, finite and not constant over frames. [frame_values] 0/1.
std::vector<uint8_t> valid_voxels(const RunMask& mask, const PackedBold& bold,
                                  const VoxelStatistics& statistics);

/// The packaged brain mask as a GridMask.
GridMask packaged_brain();

}  // namespace slim::preproc
