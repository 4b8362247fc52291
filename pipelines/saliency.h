// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "clips/average_brain.h"
#include "model/checkpoint/model_folder.h"
#include "pipelines/job.h"

namespace slim::pipelines {

/// Error SB1002 for a method, space or number of --saliency-* that is not valid.
void check_saliency(const SaliencyOptions& options);

/// Where a model's integrated gradients begin; nothing: at 0. Errors SB4002 when the model lacks the average
/// that is asked for, SB2020 when that is broken.
std::optional<clips::AverageBrain> baseline_of(const SaliencyOptions& options,
                                               const model::ModelFolder& model);

/// Maps, for the job's clip stores, which voxels the model's prediction came from: a map on the SLIM grid
/// (the primary file), tables of regions, and on request a map on the run's own grid. What is current is left
/// alone. Errors of head_of and class_named.
void run_saliency(const Job& job);

}  // namespace slim::pipelines
