// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "evaluate/cross_predict.h"
#include "evaluate/evaluation_table.h"
#include "pipelines/group_targets.h"
#include "pipelines/model_history.h"

namespace slim::pipelines {

// Note [Parts]. The participants that an evaluation predicts are of three kinds, and no number mixes them:
// those of datasets that the model learnt from, or OUT_DIR, whom no training saw ("all"); those that some
// training of the model or its parents saw (only with --include-train: "pretrained=true"); those of a dataset
// of -d of which the model saw nobody ("dataset=NAME"): nobody of it is fitted on either.

/// Cases whose rows of the table belong together (Note [Parts]).
struct Part {
  std::string name;
  std::set<std::string> cases{};
};

/// One division of the participants (one split seed), and what is to be predicted in it.
struct Division {
  evaluate::Splits participants{};
  evaluate::Problem inner{};  // who is fitted on and tested
  evaluate::Problem
      outer{};  // all of inner fits, external datasets are tested; no rows in splits without any
};

struct EvaluationProblem {
  GroupTarget target{};
  std::vector<Division> divisions{};
  std::vector<Part> parts{};              // with cases; "all" first where it has any
  std::vector<evaluate::Group> groups{};  // by site, sex and band of age
};

/// Who is predicted and who is fitted on: --splits, --cv folds, or the model's own hold-out, to which new
/// participants are added. Errors: those of group_target; SB1002 for fewer than 3 folds; SB3002 for one
/// class or classes too small for the folds, with counts; SB7001 when a tested participant was learnt from.
EvaluationProblem evaluation_problem(const GroupJob& job, GroupTarget target, const ModelHistory& history);

/// Predictions for inner and outer participants together. Fold -1 marks the outer ones.
evaluate::Predictions predict(const evaluate::FeatureTable& features, const Division& division,
                              const evaluate::FitOptions& options);
/// The row `majority` or `mean`.
evaluate::Predictions predict_without_looking(const Division& division);
/// The division with labels shuffled among people of equal --stratify.
Division permuted(const Division& division, uint64_t index);

}  // namespace slim::pipelines
