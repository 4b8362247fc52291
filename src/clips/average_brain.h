// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace slim::clips {

/// Where a model folder keeps the average of the runs that its head learnt from.
inline constexpr const char* kAverageBrainFile = "average.safetensors";

/// The mean over runs of each voxel's mean over time: [tokens * 64] z-scores in store order, 0 where no run
/// is valid.
struct AverageBrain {
  std::vector<float> values;
  int64_t runs = 0;
};

/// Averages clip stores, of which there is one at least; a voxel's mean is that over the runs in which it is
/// valid. Errors of ClipStore.
AverageBrain average_brain(std::span<const std::filesystem::path> stores);

/// Writes an average as safetensors: F32 `average`; the number of runs is metadata. Errors SB5001, SB5002.
void write_average_brain(const std::filesystem::path& path, const AverageBrain& brain);
/// Reads one. Error SB2101 without a file, SB2020 for one that is broken or no average of `values` voxels.
AverageBrain read_average_brain(const std::filesystem::path& path, int64_t values);

}  // namespace slim::clips
