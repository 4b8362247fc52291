// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/seed.h"

namespace slim::clips {

/// A half-open range of a run's stored frames.
struct Window {
  int64_t first = 0, last = 0;
  bool operator==(const Window&) const = default;
};

/// The frames that one clip joins: windows in time order, 40 frames in all.
using ClipFrames = std::vector<Window>;

/// Length of a piece of a run that is longer than two of them.
inline constexpr int64_t kPieceFrames = 200;

/// The pieces of a run, each of which gives one clip: a run of at most 400 frames is one; longer ones are cut
/// every 200 frames, and the last piece takes the rest. None when n_frames < 40.
std::vector<Window> pieces_of(int64_t n_frames);

/// The whole windows of a piece, from its first frame on; frames after the last one are left out.
std::vector<Window> windows_of(const Window& piece, int64_t window_frames);

/// What stage 1 learns from on one visit: 200 frames at a uniform start (one word of the stream), or the
/// whole run where it is shorter (no word).
Window training_piece(int64_t n_frames, Stream& stream);

/// The clips of a run of n_frames stored frames.
/// `all`: every non-overlapping clip [40c, 40c + 40). `uniform`: one clip a piece of the run, made of the
/// 5-frame windows floor((j + 0.5) W / 8), j = 0..7, of the piece's W windows. Error SB1002 for another
/// selector; none when n_frames < 40.
std::vector<ClipFrames> select_clips(int64_t n_frames, const std::string& selector);

/// "0-4,35-39": first and last frame of each window, both included.
std::string describe(const ClipFrames& clip);

}  // namespace slim::clips
