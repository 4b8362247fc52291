// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "evaluate/fit_linear.h"
#include "evaluate/predictions.h"
#include "evaluate/splits.h"

namespace slim::evaluate {

/// What every feature method of a table shares: who is split how, and what is to be predicted.
struct Problem {
  std::vector<std::string> class_names{};  // empty = numbers
  std::map<std::string, double> truth{};   // by participant key; participants without one are left out
  Splits splits{};                         // K-fold or hold-out
  std::map<std::string, std::string>
      stratify{};  // by key: what was asked to be balanced besides the target; may be empty

  int classes() const { return static_cast<int>(class_names.size()); }
};

/// A participant's features (one row each: the mean over its clips or runs), by key.
struct FeatureTable {
  int64_t columns = 0;
  std::vector<std::string> keys;
  std::vector<double> values;  // [keys, columns]
};

/// Predictions of the linear fit for the test participants of each fold (or of the hold-out): the penalty is
/// chosen by 5 inner folds, and the fit made, over training and validation participants together.
/// Participants without features are left out. Error SB3002 when a class has fewer than two
/// participants in a training part (inner folds need them), SB9001 when a key has two rows (see mean_by_key).
Predictions cross_predict(const FeatureTable& features, const Problem& problem,
                          const FitOptions& options = {});

/// The fit behind it for a hold-out: of all training and validation participants with features and a truth.
/// Error SB9001 for folds, else as above.
LinearFit fit_hold_out(const FeatureTable& features, const Problem& problem, const FitOptions& options = {});

/// Predictions of the row `majority` or `mean`, as cross_predict.
Predictions cross_predict_baseline(const Problem& problem);

/// Keys whose label can change when labels are shuffled: others of equal `stratify` have another one.
std::set<std::string> movable(const Problem& problem);
/// The problem with its labels shuffled among participants of equal `stratify` (permutation number `index`).
Problem permuted(const Problem& problem, uint64_t index);

/// Mean rows of samples that share a key (runs of a participant): one row a key, keys sorted.
FeatureTable mean_by_key(const FeatureTable& samples);

}  // namespace slim::evaluate
