// SPDX-License-Identifier: Apache-2.0
#include "clips/window.h"

#include "core/error.h"
#include "core/slim_grid.h"

namespace slim::clips {
namespace {

constexpr int64_t kWindowFrames = 5;
constexpr int64_t kWindowsInClip = kClipFrames / kWindowFrames;
constexpr int64_t kPieceFrames = 200;

/// Runs of at most two pieces' length stay whole; else the last piece takes what is left.
std::vector<Window> cut_into_pieces(int64_t n_frames) {
  if (n_frames <= 2 * kPieceFrames) {
    return {{0, n_frames}};
  }
  std::vector<Window> pieces;
  for (int64_t p = 0; p < n_frames / kPieceFrames; ++p) {
    pieces.push_back({p * kPieceFrames, (p + 1) * kPieceFrames});
  }
  pieces.back().last = n_frames;
  return pieces;
}

}  // namespace

std::vector<ClipFrames> select_clips(int64_t n_frames, const std::string& selector) {
  std::vector<ClipFrames> clips;
  if (selector == "all") {
    for (int64_t first = 0; first + kClipFrames <= n_frames; first += kClipFrames) {
      clips.push_back({{first, first + kClipFrames}});
    }
    return clips;
  }
  if (selector != "uniform") {
    throw Error(message::kBadValue, "--ranker " + selector + " is not valid: use all or uniform.");
  }
  if (n_frames < kClipFrames) {
    return clips;
  }
  for (const Window& piece : cut_into_pieces(n_frames)) {
    const int64_t windows = (piece.last - piece.first) / kWindowFrames;
    ClipFrames clip;
    for (int64_t j = 0; j < kWindowsInClip; ++j) {
      const int64_t window = (2 * j + 1) * windows / (2 * kWindowsInClip);
      const int64_t first = piece.first + window * kWindowFrames;
      clip.push_back({first, first + kWindowFrames});
    }
    clips.push_back(std::move(clip));
  }
  return clips;
}

std::string describe(const ClipFrames& clip) {
  std::string text;
  for (const Window& window : clip) {
    text += (text.empty() ? "" : ",") + std::to_string(window.first) + "-" + std::to_string(window.last - 1);
  }
  return text;
}

}  // namespace slim::clips
