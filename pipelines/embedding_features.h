// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "evaluate/cross_predict.h"
#include "model/checkpoint/model_folder.h"
#include "pipelines/group.h"

namespace slim::pipelines {

/// Features of clips by one model's encoder, as participant calls committed them.
struct EmbeddingFeatures {
  int64_t columns = 0;
  std::string ranker, background;          // equal for all runs
  std::vector<const StoredRun*> run_of{};  // of each clip; runs in the order given, clips in time order
  std::vector<std::string> frames{};       // of each clip, as the table lists them: 0-4,35-39
  std::vector<double> values{};            // [clips, columns]

  int64_t clips() const { return static_cast<int64_t>(run_of.size()); }
  /// One row a key, the mean over all its clips; a run whose key is empty is left out.
  evaluate::FeatureTable means(const std::function<std::string(const StoredRun&)>& key_of) const;
};

/// Runs with a clip store that holds at least one clip.
std::vector<const StoredRun*> usable_runs(const GroupJob& job);

/// Reads the embedding tables of runs. A table is the model's when its sidecar names the model's weights, or
/// those of the parent of a linear head (the same encoder), and the clip store as it is now. Errors: SB2101
/// for runs without such a table, with the call that makes them; SB4002 for tables of several rankers or
/// background modes, or of another ranker than --ranker; SB2003 for a broken table.
EmbeddingFeatures embedding_features(const GroupJob& job, const model::ModelFolder& model,
                                     std::span<const StoredRun* const> runs);

}  // namespace slim::pipelines
