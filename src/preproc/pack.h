// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/token_set.h"
#include "image/nifti_io.h"
#include "preproc/options.h"
#include "preproc/packed_bold.h"
#include "preproc/resample.h"
#include "preproc/vectors.h"

namespace slim::preproc {

/// How values of an input come onto the SLIM grid, computed once a run.
struct PackPlan {
  std::array<int64_t, 3> input_size{};
  std::vector<int32_t> gather;      // [frame_values] input index, -1 = not covered; used on the same lattice
  std::optional<SplineTaps> taps;   // otherwise
  std::vector<int32_t> whole_grid;  // [96^3] nearest input index, -1 = not covered
  bool interpolates() const { return taps.has_value(); }
};

/// Plans for a grid: copies by index on the SLIM lattice (Note [Same lattice]), else one cubic B-spline
/// interpolation.
PackPlan plan_pack(const image::VoxelGrid& input, const TokenSet& tokens = packaged_token_set());

/// A packed run before its mask is known.
struct Packed {
  PackedBold bold;
  int64_t nonfinite_frames = 0;         // frames of the file that hold NaN or Inf anywhere
  std::vector<std::string> warnings{};  // of the stream
};

/// Reads, converts and packs all frames but the first `dummy_frames`: inflating runs beside packing. Nothing
/// is returned before the stream's checksum is verified. Uses the calling TBB arena. Errors SB2006, SB2102,
/// SB6001.
Packed pack(image::FrameSource& source, const PackPlan& plan, int64_t dummy_frames,
            const Progress& progress = {}, Vectors vectors = best_vectors());

}  // namespace slim::preproc
