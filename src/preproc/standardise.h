// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "preproc/frame_buffer.h"
#include "preproc/options.h"
#include "preproc/packed_bold.h"
#include "preproc/vectors.h"

namespace slim::preproc {

/// Mean and population SD over valid voxels and all frames, in source units.
struct RunStatistics {
  double mean = 0.0, sd = 0.0;
  int64_t n_valid = 0;  // voxels
};

// Note [Fixed sums]. A frame is summed in blocks of 64 tokens; in a block 16 interleaved lanes (value index
// mod 16), the lanes added as a fixed binary tree, blocks in order, frames in order, invalid values counting
// 0. The bits of a sum depend on nothing but the data: not on threads, not on vector width.
/// Statistics of a run, float64, two passes (Note [Fixed sums]). Error SB9001 without valid voxels.
RunStatistics run_statistics(const PackedBold& bold, Vectors vectors = best_vectors());

/// A run as the model takes it: binary16 z-scores [frames][frame_values], invalid voxels exactly 0.
struct StandardisedBold {
  int64_t frames = 0;
  int64_t frame_values = 0;
  FrameBuffer values;          // binary16
  std::vector<uint8_t> valid;  // [frame_values] 0/1
  double repetition_time_s = 0.0;
  double first_frame_s = 0.0;
  std::optional<RunStatistics> run{};  // absent when each voxel has its own
  int64_t saturated = 0;               // values beyond +-65504

  std::span<const uint16_t> halves() const {
    return values.halves().first(static_cast<size_t>(frames * frame_values));
  }
  /// `valid` as bits, least significant first, [frame_values / 8].
  std::vector<uint8_t> valid_bits() const;
};

/// z-scores over the run or per voxel, rounded to binary16 last; works in place. Error SB9001 when a NaN
/// would be stored.
StandardisedBold standardise(PackedBold bold, const StandardiseOptions& options,
                             Vectors vectors = best_vectors());

}  // namespace slim::preproc
