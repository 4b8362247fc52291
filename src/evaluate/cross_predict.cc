// SPDX-License-Identifier: Apache-2.0
#include "evaluate/cross_predict.h"

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace slim::evaluate {
namespace {

/// Rows of the splits that fit and that are tested, of those who have a truth and pass `usable`.
struct Parts {
  std::vector<const SplitRow*> fitted, tested;
  std::vector<double> truth;  // of the fitted
};

Parts parts_of(const Problem& problem, const Splits& roles,
               const std::function<bool(const std::string&)>& usable) {
  Parts parts;
  for (const SplitRow& row : roles.rows) {
    const auto truth = problem.truth.find(row.key);
    if (truth == problem.truth.end() || !row.role || !usable(row.key)) {
      continue;
    }
    if (*row.role == Role::Test) {
      parts.tested.push_back(&row);
    } else {
      parts.fitted.push_back(&row);
      parts.truth.push_back(truth->second);
    }
  }
  return parts;
}

/// Inner folds need two participants of each class.
void check_training(const Problem& problem, const Parts& parts, int fold) {
  const std::string where =
      problem.splits.folds > 0 ? "the training part of fold " + std::to_string(fold) : "the training part";
  if (parts.fitted.empty()) {
    throw Error(message::kEmptySelection, "no participant with a value of the target is in " + where);
  }
  for (int c = 0; c < problem.classes(); ++c) {
    const auto n = std::count(parts.truth.begin(), parts.truth.end(), c);
    if (n < 2) {
      throw Error(message::kEmptySelection,
                  "class " + problem.class_names[static_cast<size_t>(c)] + " has " + std::to_string(n) +
                      (n == 1 ? " participant in " : " participants in ") + where + "; at least 2 are needed",
                  {.remedy = "fewer folds, or another target"});
    }
  }
}

/// A function from tested participants to their outputs [tested, max(1, classes)].
using Fitted = std::function<std::vector<std::vector<double>>(const Parts&)>;

Predictions predict_all(const Problem& problem, const std::function<bool(const std::string&)>& usable,
                        const Fitted& fit) {
  Predictions result{problem.classes(), {}};
  for (int fold = 0; fold < std::max(1, problem.splits.folds); ++fold) {
    const Splits roles = roles_for_fold(problem.splits, fold);
    const Parts parts = parts_of(problem, roles, usable);
    if (parts.tested.empty()) {
      continue;
    }
    check_training(problem, parts, fold);
    const std::vector<std::vector<double>> outputs = fit(parts);
    const double sd = problem.classes() > 0 ? 1 : training_sd(parts.truth);
    for (size_t i = 0; i < parts.tested.size(); ++i) {
      const SplitRow& row = *parts.tested[i];
      result.rows.push_back({row.key, row.atom(), fold, problem.truth.at(row.key), outputs[i], sd});
    }
  }
  result.finish();
  return result;
}

std::string stratify_of(const Problem& problem, const std::string& key) {
  const auto found = problem.stratify.find(key);
  return found == problem.stratify.end() ? std::string() : found->second;
}

/// The fitted participants for the inner folds; strata follow the labels at hand, which may be permuted ones.
std::vector<SplitItem> items_of(const Problem& problem, const Parts& parts) {
  std::vector<std::string> stratify;
  for (const SplitRow* row : parts.fitted) {
    stratify.push_back(stratify_of(problem, row->key));
  }
  const std::vector<std::string> strata = target_strata(parts.truth, problem.class_names, stratify);
  std::vector<SplitItem> items;
  for (size_t i = 0; i < strata.size(); ++i) {
    items.push_back({parts.fitted[i]->key, parts.fitted[i]->group, strata[i]});
  }
  return items;
}

/// Features by participant.
class Rows {
 public:
  explicit Rows(const FeatureTable& features) : features_(features) {
    for (size_t i = 0; i < features.keys.size(); ++i) {
      if (!place_.try_emplace(features.keys[i], i).second) {
        throw Error(message::kBug, "two rows of features for " + features.keys[i]);
      }
    }
    if (features.values.size() != features.keys.size() * static_cast<size_t>(features.columns)) {
      throw Error(message::kBug, "a table of features has a wrong number of values");
    }
  }
  int64_t columns() const { return features_.columns; }
  bool has(const std::string& key) const { return place_.contains(key); }
  /// [rows, columns]
  std::vector<double> gather(const std::vector<const SplitRow*>& rows) const {
    std::vector<double> values;
    for (const SplitRow* row : rows) {
      const auto first =
          features_.values.begin() + static_cast<std::ptrdiff_t>(place_.at(row->key)) * features_.columns;
      values.insert(values.end(), first, first + features_.columns);
    }
    return values;
  }

 private:
  const FeatureTable& features_;
  std::map<std::string, size_t> place_;
};

LinearFit fit_parts(const Rows& rows, const Problem& problem, const Parts& parts, const FitOptions& options) {
  constexpr int kInnerFolds = 5;
  const std::vector<double> fitted = rows.gather(parts.fitted);
  const std::vector<int> folds = inner_folds(items_of(problem, parts), kInnerFolds, problem.splits.seed);
  return fit_linear({fitted, rows.columns()}, {problem.classes(), parts.truth}, folds, options);
}

}  // namespace

Predictions cross_predict(const FeatureTable& features, const Problem& problem, const FitOptions& options) {
  const Rows rows(features);
  return predict_all(
      problem, [&](const std::string& key) { return rows.has(key); },
      [&](const Parts& parts) {
        const LinearFit fit = fit_parts(rows, problem, parts, options);
        const std::vector<double> tested = rows.gather(parts.tested);
        const Matrix output = predict_linear(fit, {tested, features.columns});
        std::vector<std::vector<double>> outputs;
        for (int64_t i = 0; i < output.rows; ++i) {
          outputs.emplace_back(output.row(i), output.row(i) + output.columns);
        }
        return outputs;
      });
}

LinearFit fit_hold_out(const FeatureTable& features, const Problem& problem, const FitOptions& options) {
  if (problem.splits.folds > 0) {
    throw Error(message::kBug, "a fit of a hold-out was asked for folds");
  }
  const Rows rows(features);
  const Parts parts =
      parts_of(problem, problem.splits, [&](const std::string& key) { return rows.has(key); });
  check_training(problem, parts, 0);
  return fit_parts(rows, problem, parts, options);
}

Predictions cross_predict_baseline(const Problem& problem) {
  return predict_all(
      problem, [](const std::string&) { return true; },
      [&](const Parts& parts) {
        return std::vector(parts.tested.size(), baseline_output(parts.truth, problem.classes()));
      });
}

std::set<std::string> movable(const Problem& problem) {
  std::map<std::string, std::set<double>> labels;
  for (const auto& [key, label] : problem.truth) {
    labels[stratify_of(problem, key)].insert(label);
  }
  std::set<std::string> keys;
  for (const auto& [key, label] : problem.truth) {
    if (labels.at(stratify_of(problem, key)).size() > 1) {
      keys.insert(key);
    }
  }
  return keys;
}

Problem permuted(const Problem& problem, uint64_t index) {
  Problem result = problem;
  std::vector<SplitItem> items;
  std::vector<double> values;
  for (const SplitRow& row : problem.splits.rows) {
    if (const auto truth = problem.truth.find(row.key); truth != problem.truth.end()) {
      items.push_back({row.key, row.group, stratify_of(problem, row.key)});
      values.push_back(truth->second);
    }
  }
  const std::vector<double> shuffled = permute_within_strata(values, items, problem.splits.seed, index);
  for (size_t i = 0; i < items.size(); ++i) {
    result.truth[items[i].key] = shuffled[i];
  }
  return result;
}

FeatureTable mean_by_key(const FeatureTable& samples) {
  std::map<std::string, std::vector<size_t>> rows;
  for (size_t i = 0; i < samples.keys.size(); ++i) {
    rows[samples.keys[i]].push_back(i);
  }
  FeatureTable result{samples.columns, {}, {}};
  const auto columns = static_cast<size_t>(samples.columns);
  for (const auto& [key, members] : rows) {
    result.keys.push_back(key);
    for (size_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (const size_t row : members) {
        sum += samples.values[row * columns + j];
      }
      result.values.push_back(sum / static_cast<double>(members.size()));
    }
  }
  return result;
}

}  // namespace slim::evaluate
