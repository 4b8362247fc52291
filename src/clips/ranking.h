// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clips/window.h"

namespace slim::clips {

/// How the windows of a run are chosen.
enum class Ranker {
  MutualSource,  // explains the other windows well
  MutualTarget,  // explained by no other window
  MutualSum,     // both, standardised
  LeaveOneOut,   // explained badly by all others together
  Variance,      // varies much inside
  Uniform,       // evenly spaced
  Random,        // drawn
  First,         // from the start
  All            // no windows: every non-overlapping 40-frame clip
};

/// The ranker of a name of --ranker ("mutual_source"); another name is Error SB1002.
Ranker ranker_from(std::string_view name);
std::string_view name_of(Ranker ranker);
/// Whether scores come from the stage-1 network.
bool needs_stage1(Ranker ranker);
/// Whether windows have scores at all.
bool has_scores(Ranker ranker);

struct RankOptions {
  Ranker ranker = Ranker::Uniform;
  int64_t window_frames = 5;  // a divisor of 40
  uint64_t seed = 1;          // of Random
  std::string run_name{};     // of Random: the run's name on the SLIM grid, without folders
};

/// A piece of a run, its windows and the choice among them.
struct RankedPiece {
  Window frames{};
  std::vector<Window> windows{};    // in time order
  std::vector<double> scores{};     // one a window; empty where the ranker gives none
  std::vector<int64_t> selected{};  // numbers of windows, ascending

  ClipFrames clip() const;
};

/// Scores of a piece's windows, high = to be chosen.
using PieceScores =
    std::function<std::vector<double>(const Window& piece, const std::vector<Window>& windows)>;

/// Ranks the windows of every piece of a run of n_frames frames and selects 40 / window_frames of each.
/// `score` is asked where has_scores(ranker). Of `All`, each clip is a piece of one selected window. Errors
/// SB1002 where window_frames does not divide 40, SB4002 for scores that are not finite.
std::vector<RankedPiece> rank_pieces(int64_t n_frames, const RankOptions& options,
                                     const PieceScores& score = {});

/// One clip a piece.
std::vector<ClipFrames> clips_of(const std::vector<RankedPiece>& pieces);

// Note [Ties]. Scores are compared after rounding to 6 significant digits, and the earlier window wins: the
// number of threads or passes at once moves scores by 1e-7, and must not move the choice.
/// Window numbers from the highest score to the lowest (Note [Ties]).
std::vector<int64_t> ranked_order(std::span<const double> scores);

/// What a choice of windows depends on.
struct RankingInputs {
  RankOptions options{};
  std::string stage1_sha256{}, atlas_sha256{};  // empty where the ranker does not use them
  std::string token_mask_sha256{}, zscore{}, store_hash{}, store_fingerprint{};
};
/// Key under which a choice is cached: SHA-256 of the canonical JSON of the inputs that the ranker uses.
std::string ranking_key(const RankingInputs& inputs);

}  // namespace slim::clips
