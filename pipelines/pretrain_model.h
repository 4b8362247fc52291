// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "pipelines/pretrain_stage1.h"

namespace slim::pipelines {

/// A pre-training that is over.
struct PretrainedModel {
  const GroupJob& job;
  const Cohort& cohort;
  const clips::RoiLabels& labels;  // of stage 1
  const PretrainedStage1& stage1;
  const train::TrainerOptions& options;
  const train::Trained& trained;
  const std::filesystem::path& work;  // where its histories lie
};

/// Writes the model folder: weights of both stages, splits.tsv, the histories (those of stage 1 in stage1/)
/// and, for a parcellation other than the cells, atlas.safetensors. Errors of write_model.
void write_pretrained(const std::filesystem::path& folder, const PretrainedModel& model);

}  // namespace slim::pipelines
