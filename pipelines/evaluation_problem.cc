// SPDX-License-Identifier: Apache-2.0
#include "pipelines/evaluation_problem.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "evaluate/targets.h"
#include "pipelines/group_splits.h"

namespace slim::pipelines {
namespace {

using evaluate::Role;
using evaluate::SplitItem;
using evaluate::Splits;

std::string dataset_of(const std::string& key) { return key.substr(0, key.find('/')); }

/// Datasets of -d of which the model saw nobody; none when there would be nobody else.
std::set<std::string> external_datasets(const std::vector<SplitItem>& items, const ModelHistory& history) {
  std::set<std::string> all, known{"slimbrain"}, external;
  for (const auto& [key, role] : history.roles) {
    known.insert(dataset_of(key));
  }
  for (const SplitItem& item : items) {
    all.insert(dataset_of(item.key));
  }
  std::set_difference(all.begin(), all.end(), known.begin(), known.end(),
                      std::inserter(external, external.begin()));
  return external == all ? std::set<std::string>() : external;
}

void check_one_class(const GroupTarget& target) {
  if (target.classes.size() == 1) {
    throw Error(
        message::kEmptySelection,
        "There is nothing to tell apart: " + target.column + " has one class among those with clip stores.",
        {.found = std::to_string(target.value_of.size()) + " of class " + target.classes.front(),
         .remedy = "prepare participants of other classes, or choose another --target"});
  }
}

/// The least number of a class that leaves two to learn from when a fold is tested.
constexpr int kLeastOfClass = 3;

void check_class_sizes(const GroupTarget& target, const std::vector<SplitItem>& items, int64_t folds) {
  std::map<double, std::set<std::string>> atoms;
  std::map<std::string, std::string> atom_of;
  for (const SplitItem& item : items) {
    atom_of[item.key] = item.group.empty() ? item.key : item.group;
  }
  for (const auto& [key, value] : target.value_of) {
    if (const auto atom = atom_of.find(participant_of(key)); atom != atom_of.end()) {
      atoms[value].insert(atom->second);
    }
  }
  std::string counts;
  bool small = false;
  for (size_t c = 0; c < target.classes.size(); ++c) {
    const size_t n = atoms[static_cast<double>(c)].size();
    counts += (c == 0 ? "" : ", ") + std::to_string(n) + " " + target.classes[c];
    small = small || n < kLeastOfClass;
  }
  if (small) {
    throw Error(message::kEmptySelection,
                "There are too few participants of a class for " + std::to_string(folds) + " folds.",
                {.expected = "at least " + std::to_string(kLeastOfClass) + " of each class",
                 .found = counts,
                 .remedy = "prepare more participants, or choose another --target"});
  }
}

/// The divisions of inner participants, one a seed.
std::vector<Splits> divide(const GroupJob& job, const GroupTarget& target,
                           const std::vector<SplitItem>& items, const ModelHistory& history) {
  const EvaluateOptions& options = job.config.evaluate;
  if (!options.splits.empty()) {
    return given_splits(job, items);
  }
  if (options.cv && *options.cv < 3) {
    throw Error(message::kBadValue,
                "--cv needs at least 3 folds: one is tested, one validates, the rest trains.",
                {.found = std::to_string(*options.cv)});
  }
  if (options.seeds < 1) {
    throw Error(message::kBadValue, "--seeds must be at least 1.", {.found = std::to_string(options.seeds)});
  }
  if (options.cv) {
    check_class_sizes(target, items, *options.cv);
  }
  std::vector<Splits> all;
  for (int64_t r = 0; r < options.seeds; ++r) {
    const auto seed = static_cast<uint64_t>(job.config.train.seed + r);
    all.push_back(options.cv ? evaluate::k_fold(items, static_cast<int>(*options.cv), seed)
                             : evaluate::hold_out(items, seed, {.kept = history.roles}));
  }
  return all;
}

bool is_tested(const Splits& splits, const evaluate::SplitRow& row) {
  return splits.folds > 0 || row.role == Role::Test;
}

void refuse_learnt(const GroupJob& job, const std::vector<Division>& divisions, const ModelHistory& history) {
  if (!history.known) {
    job.log.warn("who this imported model learnt from is not known: nobody can be refused for that");
  }
  std::set<std::string> tested;
  for (const Division& division : divisions) {
    for (const evaluate::SplitRow& row : division.participants.rows) {
      if (is_tested(division.participants, row)) {
        tested.insert(row.key);
      }
    }
  }
  const std::vector<std::string> keys(tested.begin(), tested.end());
  if (!job.config.evaluate.include_train) {
    try {
      evaluate::refuse_leakage(keys, history.trained);
    } catch (const Error& error) {
      ErrorDetails details = error.details();
      details.remedy =
          "leave --cv out (the model's own test participants), or add --include-train (rows of their own)";
      throw Error(message::kLeakage, error.sentence(), details);
    }
  }
}

/// All inner cases train, external ones are tested.
Splits outer_splits(const Splits& inner, const std::vector<SplitItem>& external, const GroupTarget& target) {
  Splits outer{.seed = inner.seed};
  for (evaluate::SplitRow row : inner.rows) {
    if (inner.folds == 0 && row.role == Role::Test) {
      continue;  // what a hold-out keeps back is not fitted on here either
    }
    row.fold = std::nullopt;
    row.role = Role::Train;
    outer.rows.push_back(std::move(row));
  }
  Splits tested;
  for (const SplitItem& item : external) {
    tested.rows.push_back({item.key, item.group, item.stratum, std::nullopt, Role::Test});
  }
  for (evaluate::SplitRow& row : case_splits(tested, target).rows) {
    outer.rows.push_back(std::move(row));
  }
  std::sort(outer.rows.begin(), outer.rows.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return outer;
}

std::vector<Part> parts_of(const std::vector<Division>& divisions, const ModelHistory& history) {
  Part all{"all"}, pretrained{"pretrained=true"};
  std::map<std::string, Part> external;
  const auto place = [&](const evaluate::Problem& problem, const auto& part_of) {
    for (const evaluate::SplitRow& row : problem.splits.rows) {
      if (is_tested(problem.splits, row)) {
        part_of(row.key).cases.insert(row.key);
      }
    }
  };
  for (const Division& division : divisions) {
    place(division.inner, [&](const std::string& key) -> Part& {
      const std::string participant = participant_of(key);
      return evaluate::leaked(std::span(&participant, 1), history.trained).empty() ? all : pretrained;
    });
    place(division.outer, [&](const std::string& key) -> Part& {
      Part& part = external[dataset_of(key)];
      part.name = "dataset=" + dataset_of(key);
      return part;
    });
  }
  std::vector<Part> parts{std::move(all), std::move(pretrained)};
  for (auto& [name, part] : external) {
    parts.push_back(std::move(part));
  }
  std::erase_if(parts, [](const Part& part) { return part.cases.empty(); });
  return parts;
}

/// Ten-year bands.
std::string band_of(const std::string& text) {
  const std::optional<double> age = evaluate::number_in(text);
  if (!age || *age < 0) {
    return "";
  }
  const auto decade = static_cast<int>(std::floor(*age / 10)) * 10;
  return std::to_string(decade) + "-" + std::to_string(decade + 9);
}

/// Cases by site, sex and band of age, where a column has more than one value and not one for nearly
/// everybody.
std::vector<evaluate::Group> groups_of(const GroupJob& job, const GroupTarget& target) {
  constexpr size_t kMostValues = 30;
  std::vector<evaluate::Group> groups;
  for (const std::string column : {"site", "sex", "age"}) {
    if (target.column.substr(target.column.rfind(':') + 1) == column) {
      continue;
    }
    std::map<std::string, std::vector<std::string>> keys;
    const std::map<std::string, std::string> texts = group_column(job, column, false);
    for (const auto& [key, value] : target.value_of) {
      const auto text = texts.find(participant_of(key));
      const std::string shown = text == texts.end() ? ""
                                : column == "age"   ? band_of(text->second)
                                                    : text->second;
      if (!shown.empty()) {
        keys[shown].push_back(key);
      }
    }
    for (auto& [value, members] : keys) {
      if (keys.size() > 1 && keys.size() <= kMostValues) {
        groups.push_back({column + "=" + value, std::move(members)});
      }
    }
  }
  return groups;
}

}  // namespace

EvaluationProblem evaluation_problem(const GroupJob& job, GroupTarget target, const ModelHistory& history) {
  check_one_class(target);
  std::vector<SplitItem> inner = split_items(job, target), outer;
  const std::set<std::string> external = external_datasets(inner, history);
  const auto first_outer = std::stable_partition(inner.begin(), inner.end(), [&](const SplitItem& item) {
    return !external.contains(dataset_of(item.key));
  });
  outer.assign(first_outer, inner.end());
  inner.erase(first_outer, inner.end());
  EvaluationProblem problem;
  const std::map<std::string, std::string> strata = stratify_texts(job, target);
  for (Splits& participants : divide(job, target, inner, history)) {
    Division division;
    division.inner = {.class_names = target.classes,
                      .truth = target.value_of,
                      .splits = case_splits(participants, target),
                      .stratify = strata};
    if (!outer.empty()) {
      division.outer = division.inner;
      division.outer.splits = outer_splits(division.inner.splits, outer, target);
    }
    division.participants = std::move(participants);
    problem.divisions.push_back(std::move(division));
  }
  refuse_learnt(job, problem.divisions, history);
  problem.parts = parts_of(problem.divisions, history);
  problem.groups = groups_of(job, target);
  problem.target = std::move(target);
  if (problem.parts.empty()) {
    throw Error(message::kEmptySelection, "Nobody is left to be tested.",
                {.found = std::to_string(inner.size()) + " participants with a value of " +
                          problem.target.column + ", none of them in the test part",
                 .remedy = "prepare more participants, or --cv K"});
  }
  return problem;
}

evaluate::Predictions predict(const evaluate::FeatureTable& features, const Division& division,
                              const evaluate::FitOptions& options) {
  evaluate::Predictions all = evaluate::cross_predict(features, division.inner, options);
  for (evaluate::Prediction& row : evaluate::cross_predict(features, division.outer, options).rows) {
    row.fold = -1;
    all.rows.push_back(std::move(row));
  }
  all.finish();
  return all;
}

evaluate::Predictions predict_without_looking(const Division& division) {
  evaluate::Predictions all = evaluate::cross_predict_baseline(division.inner);
  for (evaluate::Prediction& row : evaluate::cross_predict_baseline(division.outer).rows) {
    row.fold = -1;
    all.rows.push_back(std::move(row));
  }
  all.finish();
  return all;
}

Division permuted(const Division& division, uint64_t index) {
  Division result = division;
  result.inner = evaluate::permuted(division.inner, index);
  result.outer = evaluate::permuted(division.outer, index);
  return result;
}

}  // namespace slim::pipelines
