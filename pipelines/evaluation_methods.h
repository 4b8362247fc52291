// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "evaluate/evaluation_table.h"
#include "model/checkpoint/model_folder.h"
#include "pipelines/embedding_features.h"
#include "pipelines/evaluation_problem.h"

namespace slim::pipelines {

/// A model and what it makes of the runs.
struct EvaluatedModel {
  const model::ModelFolder& folder;
  const ModelHistory& history;
  const EmbeddingFeatures& features;
};

/// A method of the table: its predictions in each division, and a sentence on what it is.
struct MethodRow {
  evaluate::Method method{};
  std::string description;
};

/// How often labels are shuffled for the row `permuted`; shuffles that leave a fold without a class do not
/// count.
inline constexpr int kPermutations = 20;

struct EvaluationMethods {
  std::vector<MethodRow> rows{};                  // baselines first, then those of the model
  std::vector<std::string> of_model{};            // names of the model's rows
  std::vector<evaluate::Predictions> permuted{};  // of the first division: probe on shuffled labels
};

/// All rows of the table (same division, same metrics): majority or mean, motion, demographics, voxel_mean,
/// connectome, untrained, probe, and the model's own head where it has one for this target (named after the
/// way it was tuned; for participants that no training saw). A row that cannot be made says why.
EvaluationMethods evaluation_methods(const GroupJob& job, const EvaluationProblem& problem,
                                     const EvaluatedModel& model, std::span<const StoredRun* const> runs);

}  // namespace slim::pipelines
