// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/slim_grid.h"
#include "core/token_set.h"
#include "preproc/frame_buffer.h"

namespace slim::preproc {

/// A run on the tokens of the SLIM grid: [frames][frame_values] float32 in store order (Note [Tokens]).
/// Values where `valid` is 0 mean nothing until `standardise` makes them 0.
struct PackedBold {
  int64_t frames = 0;
  int64_t frame_values = 0;      // tokens * 64
  FrameBuffer values;            // [frames][frame_values] float32
  std::vector<uint8_t> covered;  // [frame_values] 0/1: the input reaches this voxel
  std::vector<uint8_t>
      valid;  // [frame_values] 0/1: brain, covered, finite, not constant; empty before the run mask
  double repetition_time_s = 0.0;
  double first_frame_s = 0.0;  // from the start of the input file's first volume
  bool interpolated = false;   // in space
  int64_t clamped = 0;         // interpolated values raised to min(0, smallest value of their frame)
  // Every ceil(T/50)-th frame over the whole SLIM grid (x fastest), nearest voxels: for masks and the fit
  // gate.
  std::vector<double> grid_sum;       // [96^3]
  std::vector<uint8_t> grid_nonzero;  // [96^3] finite and not 0 in all of these frames
  std::vector<uint8_t> grid_covered;  // [96^3]

  std::span<const float> frame(int64_t t) const {
    return values.floats().subspan(static_cast<size_t>(t * frame_values), static_cast<size_t>(frame_values));
  }
  std::span<float> frame(int64_t t) {
    return values.floats().subspan(static_cast<size_t>(t * frame_values), static_cast<size_t>(frame_values));
  }
};

}  // namespace slim::preproc
