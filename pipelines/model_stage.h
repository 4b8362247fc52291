// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipelines/clip_rows.h"
#include "pipelines/job.h"
#include "pipelines/loaded_model.h"

namespace slim::pipelines {

// What the stages that run a model on stored clips (embed, predict, saliency) have in common.

/// A run's clip store and the clips of it that the model's ranker chooses.
struct RunClips {
  clips::ClipStore store;
  std::vector<clips::ClipFrames> chosen;
};

/// The clips of a run. Errors SB2101 without a clip store, SB2009 for less than a clip, SB4002 for a store
/// that does not fit the model, those of ranked_clips. Hold the participant's lock.
RunClips run_clips(const Job& job, const bids::BoldRun& run, const LoadedModel& model);

/// URI -> fingerprint of the run's clip store. Error SB2101 where there is none.
nlohmann::json store_fingerprint(const Job& job, const bids::BoldRun& run);

/// URI of the run's clip store.
std::string store_uri(const bids::BoldRun& run);

/// What a result of a model depends on beside the clip store, for the stage's configuration hash.
nlohmann::json model_settings(const Job& job, const LoadedModel& model);

/// The same, and facts of the store, for the block Slimbrain of a sidecar.
nlohmann::json model_facts(const Job& job, const LoadedModel& model, const clips::ClipStore& store);

/// Does a stage's work on every run of the job, one at a time; where the device's memory is short the work is
/// done again with fewer clips at once. Error SB4004 when it does not hold one.
void for_each_run_of_model(const Job& job, const std::string& stage, LoadedModel& model,
                           const UnitWork& work);

}  // namespace slim::pipelines
