// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "preproc/packed_bold.h"

namespace slim::preproc {

/// What each stored voxel does over time, float64; one entry a value of a frame.
struct VoxelStatistics {
  std::vector<double> mean, sd;  // source units, population SD
  std::vector<double>
      high_frequency;               // sum of squared steps / (2 sum of squared deviations); 1 for white noise
  std::vector<uint8_t> finite;      // no NaN or Inf in any frame
  std::vector<uint8_t> varies;      // not the same value in all frames
  std::vector<uint8_t> never_zero;  // not 0 in any frame
};

/// Statistics over frames, in one pass, each voxel's first value taken as the origin so that nothing cancels.
VoxelStatistics voxel_statistics(const PackedBold& bold);

}  // namespace slim::preproc
