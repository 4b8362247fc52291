// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/model_folder.h"
#include "model/device/device.h"
#include "pipelines/pretrain_cohort.h"
#include "pipelines/rank.h"
#include "train/trainer.h"

namespace slim::pipelines {

/// Passes of stage 1 that a call asks for; 0 = no stage 1.
int64_t stage1_epochs(const TrainOptions& train);

/// How a pre-training chooses windows: --ranker, else mutual_source with stage 1 and uniform without. Errors
/// SB1002 for an unknown name, SB4001 for one that needs the stage 1 that is left out.
clips::Ranker pretrain_ranker(const Config& config);

/// Stage 1 of a pre-training.
struct PretrainedStage1 {
  std::optional<model::Stage1Config> config{};  // none where stage 1 is left out
  train::Parameters weights{};                  // under their names in a model folder
  WindowRanking ranking{};                      // complete
};

/// Trains stage 1, goes on with it, or reads back what `work`/stage1 holds. Errors of train_stage1.
PretrainedStage1 pretrain_stage1(const GroupJob& job, Progress& progress, const Cohort& cohort,
                                 const clips::RoiLabels& labels, CohortMatrices& matrices,
                                 const std::filesystem::path& work, at::Device device);

/// The ranked clips of runs, one list a run. What an earlier call chose lies in `work`/windows, a table a run
/// that is named by its ranking key. Errors of rank_run.
std::vector<std::vector<clips::ClipFrames>> ranked_cohort(
    const GroupJob& job, Progress& progress, const Cohort& cohort, const std::vector<size_t>& runs,
    CohortMatrices& matrices, const WindowRanking& ranking, const std::filesystem::path& work);

/// Hooks of a training that shows itself as `part`, in `things` ("clips") per second.
train::TrainerHooks training_hooks(const GroupJob& job, Progress& progress, const std::string& part,
                                   const std::string& things);

}  // namespace slim::pipelines
