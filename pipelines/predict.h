// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/head.h"
#include "pipelines/job.h"

namespace slim::pipelines {

/// Predicts a target for the clips of the job's clip stores with the model's head: a TSV with a row for each
/// clip and one for the run. What is current is left alone. Errors of head_of.
void run_predict(const Job& job);

/// The table's name: `<g>_desc-<target>_predictions.tsv`.
bids::BidsName predictions_name(const bids::BoldRun& run, const std::string& target);

/// Target of a head for sidecars, and for the configuration hash of what depends on it.
nlohmann::json target_facts(const model::HeadTarget& target);

}  // namespace slim::pipelines
