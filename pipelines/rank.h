// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bids/bold_run.h"
#include "bids/derivative.h"
#include "clips/clip_store.h"
#include "clips/ranking.h"
#include "clips/roi_matrix.h"
#include "model/global_mae.h"

namespace slim::pipelines {

/// What ranks the windows of a call's runs.
struct WindowRanking {
  clips::RankOptions options{};  // run_name is set run by run
  std::string model{};           // label in the table's name
  std::string model_note{};      // a sentence that the tables must carry (untrained_note)
  model::GlobalMae network{nullptr};
  std::string stage1_sha256{};
  std::string atlas_sha256{};  // of the regions that the weights belong to; empty = not known
  clips::RoiLabels labels{};   // only where windows have scores
  int64_t passes_at_once = 8;
};

/// Completes a ranking: hash of the network's weights, the grid parcellation where `labels` is empty, windows
/// as long as the network's. Errors SB4001 where the ranker needs stage-1 weights and there are none, SB4002
/// where they belong to another number of regions.
WindowRanking complete_ranking(WindowRanking ranking);

/// What the choice of windows depends on beside the run, for the configuration hash of a stage.
nlohmann::json ranking_settings(const WindowRanking& ranking);
/// The same as keys of a sidecar's block: Ranker, and where they apply Stage1WeightsSHA256, Atlas, Seed.
nlohmann::json ranking_facts(const WindowRanking& ranking);

/// A clip store whose windows are to be chosen.
struct RunToRank {
  std::string name;  // on the SLIM grid, without folders: <g>
  const clips::ClipStore& store;
  std::string fingerprint;  // of the store
};
/// clips::ranking_key of a run under a ranking.
std::string key_of(const WindowRanking& ranking, const RunToRank& run);

/// The windows of a run, ranked and chosen. `matrix` is called, at most once, where windows have scores.
/// Errors of the scores; SB6001 when stopped.
std::vector<clips::RankedPiece> rank_run(const WindowRanking& ranking, const RunToRank& run,
                                         const std::function<const clips::RoiMatrix&()>& matrix,
                                         const std::atomic<bool>& stop);

struct RankCall {
  const bids::DerivativeDataset& output;
  const std::atomic<bool>& stop;
  bool force = false;
};

/// The clips of a run. The choice is read from the run's table of windows when that is current, else made and
/// written (`<g>_desc-<model>windows_timeseries.tsv`, no table for ranker `all`). None when the run has fewer
/// than 40 frames. Hold the participant's lock. Errors of the clip store and of rank_run.
std::vector<clips::ClipFrames> ranked_clips(const RankCall& call, const bids::BoldRun& run,
                                            const clips::ClipStore& store, const WindowRanking& ranking);

bids::BidsName windows_name(const bids::BoldRun& run, const std::string& model);

}  // namespace slim::pipelines
