// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace slim::evaluate {

/// atanh(r) of all pairs of rows of a matrix [rois, frames], r clipped to +-0.999999: the upper triangle row
/// by row, rois (rois - 1) / 2 values. A row that is constant or not finite is invalid: its pairs are 0.
std::vector<double> connectome_features(std::span<const double> series, int64_t rois, int64_t frames);

/// The temporal mean of each token over its valid voxels, frame after frame: 64 voxels a token.
class VoxelMean {
 public:
  /// valid: bits, least significant first, one a voxel of a frame (as in the clip store), [voxels / 8].
  VoxelMean(int64_t voxels, std::span<const uint8_t> valid);
  /// Adds a frame, [voxels].
  void add(std::span<const float> frame);
  /// One value a token, [voxels / 64]; 0 for a token without valid voxels, or before any frame.
  std::vector<double> features() const;

 private:
  std::vector<uint8_t> valid_;  // 0 or 1 a voxel
  std::vector<double> sums_;    // [tokens]
  int64_t frames_ = 0;
};

}  // namespace slim::evaluate
