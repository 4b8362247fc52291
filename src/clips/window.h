// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slim::clips {

/// A half-open range of a run's stored frames.
struct Window {
  int64_t first = 0, last = 0;
  bool operator==(const Window&) const = default;
};

/// The frames that one clip joins: windows in time order, 40 frames in all.
using ClipFrames = std::vector<Window>;

/// The clips of a run of n_frames stored frames.
/// `all`: every non-overlapping clip [40c, 40c + 40). `uniform`: one clip a piece of the run (a run of at
/// most 400 frames is one piece; longer ones are cut every 200 frames, the last piece takes the rest), made
/// of the 5-frame windows floor((j + 0.5) W / 8), j = 0..7, of the piece's W windows. Error SB1002 for
/// another selector; none when n_frames < 40.
std::vector<ClipFrames> select_clips(int64_t n_frames, const std::string& selector);

/// "0-4,35-39": first and last frame of each window, both included.
std::string describe(const ClipFrames& clip);

}  // namespace slim::clips
