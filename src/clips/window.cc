// SPDX-License-Identifier: Apache-2.0
#include "clips/window.h"

#include "clips/ranking.h"
#include "core/error.h"
#include "core/slim_grid.h"

namespace slim::clips {

std::vector<Window> pieces_of(int64_t n_frames) {
  if (n_frames < kClipFrames) {
    return {};
  }
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

std::vector<Window> windows_of(const Window& piece, int64_t window_frames) {
  std::vector<Window> windows;
  for (int64_t first = piece.first; first + window_frames <= piece.last; first += window_frames) {
    windows.push_back({first, first + window_frames});
  }
  return windows;
}

Window training_piece(int64_t n_frames, Stream& stream) {
  if (n_frames <= kPieceFrames) {
    return {0, n_frames};
  }
  const auto first = static_cast<int64_t>(stream.bounded(static_cast<uint64_t>(n_frames - kPieceFrames + 1)));
  return {first, first + kPieceFrames};
}

std::vector<ClipFrames> select_clips(int64_t n_frames, const std::string& selector) {
  if (selector != "all" && selector != "uniform") {
    throw Error(message::kBadValue, "--ranker " + selector + " is not valid: use all or uniform.");
  }
  return clips_of(rank_pieces(n_frames, {.ranker = ranker_from(selector)}));
}

std::string describe(const ClipFrames& clip) {
  std::string text;
  for (const Window& window : clip) {
    text += (text.empty() ? "" : ",") + std::to_string(window.first) + "-" + std::to_string(window.last - 1);
  }
  return text;
}

}  // namespace slim::clips
