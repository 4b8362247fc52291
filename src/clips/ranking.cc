// SPDX-License-Identifier: Apache-2.0
#include "clips/ranking.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/error.h"
#include "core/nearest.h"
#include "core/sha256.h"
#include "core/slim_grid.h"

namespace slim::clips {
namespace {

/// Raised when the rule of pieces_of changes.
constexpr int kPieceRule = 1;

struct RankerRow {
  std::string_view name;
  bool stage1, scores;
};
constexpr std::array kRankers{RankerRow{"mutual_source", true, true}, RankerRow{"mutual_target", true, true},
                              RankerRow{"mutual_sum", true, true},    RankerRow{"leave_one_out", true, true},
                              RankerRow{"variance", false, true},     RankerRow{"uniform", false, false},
                              RankerRow{"random", false, false},      RankerRow{"first", false, false},
                              RankerRow{"all", false, false}};

const RankerRow& row_of(Ranker ranker) { return kRankers.at(static_cast<size_t>(ranker)); }

double rounded(double score) {
  char text[32];
  const auto written = std::to_chars(text, text + sizeof text, score, std::chars_format::scientific, 5);
  double value = 0.0;
  std::from_chars(text, written.ptr, value);
  return value;
}

std::vector<int64_t> drawn(int64_t windows, int64_t count, Stream stream) {
  std::vector<int64_t> all(static_cast<size_t>(windows));
  std::iota(all.begin(), all.end(), int64_t{0});
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    std::swap(all[i], all[i + static_cast<size_t>(stream.bounded(all.size() - i))]);
  }
  all.resize(static_cast<size_t>(count));
  return all;
}

uint64_t stream_index(const std::string& run_name) {
  const std::string hex = sha256_hex(run_name);
  uint64_t value = 0;
  std::from_chars(hex.data(), hex.data() + 16, value, 16);
  return value;
}

std::vector<int64_t> selection(const RankedPiece& piece, const RankOptions& options, uint64_t number) {
  const auto windows = static_cast<int64_t>(piece.windows.size());
  const int64_t count = kClipFrames / options.window_frames;
  std::vector<int64_t> selected;
  if (has_scores(options.ranker)) {
    selected = ranked_order(piece.scores);
    selected.resize(static_cast<size_t>(count));
  } else if (options.ranker == Ranker::Random) {
    selected = drawn(windows, count, Stream(options.seed, "rank", number, stream_index(options.run_name)));
  } else {
    for (int64_t j = 0; j < count; ++j) {
      selected.push_back(options.ranker == Ranker::First ? j : (2 * j + 1) * windows / (2 * count));
    }
  }
  std::sort(selected.begin(), selected.end());
  return selected;
}

void check_scores(const RankedPiece& piece) {
  if (piece.scores.size() != piece.windows.size()) {
    throw Error(message::kBug, "A piece has " + std::to_string(piece.windows.size()) + " windows and " +
                                   std::to_string(piece.scores.size()) + " scores.");
  }
  if (!std::all_of(piece.scores.begin(), piece.scores.end(), [](double s) { return std::isfinite(s); })) {
    throw Error(message::kUnfitModel, "Window scores are not finite for this run.",
                {.remedy = "check the stage-1 weights with slimbrain-model inspect"});
  }
}

}  // namespace

Ranker ranker_from(std::string_view name) {
  std::vector<std::string> known;
  for (size_t i = 0; i < kRankers.size(); ++i) {
    if (kRankers[i].name == name) {
      return static_cast<Ranker>(i);
    }
    known.emplace_back(kRankers[i].name);
  }
  std::string list;
  for (const std::string& one : known) {
    list += (list.empty() ? "" : ", ") + one;
  }
  throw Error(message::kBadValue, "--ranker " + std::string(name) + " is not valid: use " + list +
                                      "; the nearest is " + nearest(name, known) + ".");
}

std::string_view name_of(Ranker ranker) { return row_of(ranker).name; }
bool needs_stage1(Ranker ranker) { return row_of(ranker).stage1; }
bool has_scores(Ranker ranker) { return row_of(ranker).scores; }

ClipFrames RankedPiece::clip() const {
  ClipFrames frames;
  for (const int64_t window : selected) {
    frames.push_back(windows.at(static_cast<size_t>(window)));
  }
  return frames;
}

std::vector<RankedPiece> rank_pieces(int64_t n_frames, const RankOptions& options, const PieceScores& score) {
  std::vector<RankedPiece> pieces;
  if (options.ranker == Ranker::All) {
    for (const Window& clip : windows_of({0, n_frames}, kClipFrames)) {
      pieces.push_back({.frames = clip, .windows = {clip}, .selected = {0}});
    }
    return pieces;
  }
  if (options.window_frames < 1 || kClipFrames % options.window_frames != 0) {
    throw Error(message::kBadValue, "Windows of " + std::to_string(options.window_frames) +
                                        " frames do not make a clip of 40: use 5 or 8.");
  }
  for (const Window& frames : pieces_of(n_frames)) {
    RankedPiece piece{.frames = frames, .windows = windows_of(frames, options.window_frames)};
    if (has_scores(options.ranker)) {
      piece.scores = score(piece.frames, piece.windows);
      check_scores(piece);
    }
    piece.selected = selection(piece, options, pieces.size());
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

std::vector<ClipFrames> clips_of(const std::vector<RankedPiece>& pieces) {
  std::vector<ClipFrames> clips;
  for (const RankedPiece& piece : pieces) {
    clips.push_back(piece.clip());
  }
  return clips;
}

std::vector<int64_t> ranked_order(std::span<const double> scores) {
  std::vector<double> keys;
  for (const double score : scores) {
    keys.push_back(rounded(score));
  }
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return keys[static_cast<size_t>(a)] > keys[static_cast<size_t>(b)];
  });
  return order;
}

std::string ranking_key(const RankingInputs& inputs) {
  const RankOptions& options = inputs.options;
  // nlohmann::json keeps keys sorted, and dump() without arguments adds no blanks: the text is canonical.
  nlohmann::json key{{"ranker", name_of(options.ranker)},
                     {"window_frames", options.window_frames},
                     {"windows", kClipFrames / options.window_frames},
                     {"piece_rule", kPieceRule},
                     {"token_mask_sha256", inputs.token_mask_sha256},
                     {"zscore", inputs.zscore},
                     {"store_hash", inputs.store_hash},
                     {"store_fingerprint", inputs.store_fingerprint}};
  if (needs_stage1(options.ranker)) {
    key["stage1_sha256"] = inputs.stage1_sha256;
  }
  if (has_scores(options.ranker)) {
    key["atlas_sha256"] = inputs.atlas_sha256;
  }
  if (options.ranker == Ranker::Random) {
    key["seed"] = options.seed;
    key["run"] = options.run_name;
  }
  return sha256_hex(key.dump());
}

}  // namespace slim::clips
