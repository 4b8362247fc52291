// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "evaluate/cross_predict.h"
#include "model/checkpoint/model_folder.h"
#include "pipelines/embedding_features.h"
#include "pipelines/group_targets.h"

namespace slim::pipelines {

/// What a head is to be learnt from, settled before any work.
struct TuningPlan {
  std::string name;                    // of the new model
  std::filesystem::path folder, work;  // the model's, and where a training lies until the model is whole
  model::ModelFolder parent;
  GroupTarget target;
  EmbeddingFeatures features;  // of all clips of all cases, by the parent
  evaluate::Splits splits;     // of the participants: hold-out
  evaluate::Problem problem;   // the same by case, with what is to be predicted
};

/// Settles target, participants, splits and features of a call. Roles that the parent's splits (or those of
/// its parents) gave stay; new participants are held out 70/10/20; --splits gives all roles. Errors: SB4001
/// no
/// --model; SB1002; SB5001 a model of that name is there (--force removes it); SB3002 for too few cases, with
/// counts; SB7001 when a test participant was learnt from; those of group_target and embedding_features.
TuningPlan plan_tuning(const GroupJob& job);

/// Cases of a role that have a value and features.
std::vector<std::string> cases_of(const TuningPlan& plan, evaluate::Role role);

/// A head that was learnt.
struct TunedHead {
  model::HeadTarget target;
  std::map<std::string, std::vector<float>> weights;  // head.projection.* and, where they learnt too, others
  model::ModelTuning tuning;
};

/// The convex head on frozen features (training and validation cases; penalty by 5 inner folds).
TunedHead linear_head(const GroupJob& job, const TuningPlan& plan);

/// Encoder and head trained together; a training that was stopped goes on. Errors SB6001, SB4003, SB4005,
/// SB1008.
TunedHead tuned_encoder(const GroupJob& job, const TuningPlan& plan);

}  // namespace slim::pipelines
