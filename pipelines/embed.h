// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "pipelines/model_stage.h"

namespace slim::pipelines {

/// Embeds the clips of the job's clip stores: a TSV of 512-vectors per clip and per run. What is current is
/// left alone.
void run_embed(const Job& job);

/// Features of a run's clips, [clips][width]: read back, bit for bit, from the run's embedding table while
/// that is current, else computed. Errors of features_of; SB2003 for a broken table.
std::vector<std::vector<float>> features_of_run(const Job& job, const bids::BoldRun& run,
                                                const LoadedModel& model, const RunClips& clips,
                                                const std::function<void(int64_t, int64_t)>& progress);

}  // namespace slim::pipelines
