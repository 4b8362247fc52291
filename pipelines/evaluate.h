// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/evaluation_files.h"

namespace slim::pipelines {

/// Stage `evaluate`: how well --model predicts --target beside baselines, on participants whom no training
/// saw, or with --head fingerprint who is recognised between two sessions. Errors: those of find_model,
/// group_target, evaluation_problem and embedding_features; SB1002 for unknown words.
void run_evaluate(const GroupJob& job);

/// Tables of --head fingerprint: group_desc-fingerprint_metrics. Identification (raw, and centred on the
/// database) and closed-set recognition between the first two sessions of each participant, else between its
/// first two runs, marked within_session. Error SB3002 for fewer than two participants with two of either.
void evaluate_fingerprint(const GroupJob& job, const EvaluatedModel& model);

}  // namespace slim::pipelines
