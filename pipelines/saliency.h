// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/job.h"

namespace slim::pipelines {

/// Error SB1002 for a method, space or number of --saliency-* that is not valid.
void check_saliency(const SaliencyOptions& options);

/// Maps, for the job's clip stores, which voxels the model's prediction came from: a map on the SLIM grid
/// (the primary file), tables of regions, and on request a map on the run's own grid. What is current is left
/// alone. Errors of head_of and class_named.
void run_saliency(const Job& job);

}  // namespace slim::pipelines
