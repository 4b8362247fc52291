// SPDX-License-Identifier: Apache-2.0
#include "pipelines/evaluate.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "model/checkpoint/model_tool.h"
#include "pipelines/model_choice.h"

namespace slim::pipelines {
namespace {

using evaluate::EvaluationRow;

/// Groups smaller than this get no rows of their own.
constexpr size_t kLeastOfGroup = 5;

evaluate::Predictions only(const evaluate::Predictions& predictions, const Part& part) {
  evaluate::Predictions result{predictions.classes, {}};
  for (const evaluate::Prediction& row : predictions.rows) {
    if (part.cases.contains(row.key)) {
      result.rows.push_back(row);
    }
  }
  return result;
}

/// The methods' predictions for the cases of a part; a method that has none there says so.
std::vector<evaluate::Method> methods_of(const EvaluationMethods& methods, const Part& part) {
  std::vector<evaluate::Method> result;
  for (const MethodRow& row : methods.rows) {
    evaluate::Method method{row.method.name, {}, row.method.why_absent};
    bool any = false;
    for (const evaluate::Predictions& repeat : row.method.repeats) {
      method.repeats.push_back(only(repeat, part));
      any = any || !method.repeats.back().rows.empty();
    }
    if (!any) {
      method.repeats.clear();
      method.why_absent =
          method.why_absent.empty() ? "it predicts none of these participants" : method.why_absent;
    }
    result.push_back(std::move(method));
  }
  return result;
}

evaluate::EvaluationOptions options_of(const GroupJob& job, const EvaluationProblem& problem,
                                       const Part& part) {
  evaluate::EvaluationOptions options{.target_units = problem.target.units,
                                      .chance_method = problem.target.classes.empty() ? "mean" : "majority",
                                      .seed = static_cast<uint64_t>(job.config.train.seed)};
  for (const evaluate::Group& group : problem.groups) {
    const auto members = std::count_if(group.keys.begin(), group.keys.end(),
                                       [&](const std::string& key) { return part.cases.contains(key); });
    if (part.name == "all" && members >= static_cast<int64_t>(kLeastOfGroup)) {
      options.groups.push_back(group);
    }
  }
  return options;
}

/// A sentence on whether the probe finds nothing where there is nothing to find.
std::string permutation_note(const std::vector<EvaluationRow>& rows, size_t permutations, bool classes) {
  for (const EvaluationRow& row : rows) {
    if (row.metric == (classes ? "auc" : "pearson_r") && row.value && row.ci_low) {
      const double chance = classes ? 0.5 : 0;
      const bool within = *row.ci_low <= chance && chance <= *row.ci_high;
      return std::string("mean ") + (classes ? "AUC " : "r ") + short_number(row.value) + ", 95 % of " +
             std::to_string(permutations) + " permutations in " + short_number(row.ci_low) + " to " +
             short_number(row.ci_high) + ": " +
             (within ? "within chance" : "NOT within chance, do not trust the other rows") + " (" +
             short_number(chance) + ")";
    }
  }
  return "undefined for so few participants";
}

void add_part(const GroupJob& job, const Part& part, Evaluation& evaluation) {
  const std::vector<evaluate::Method> methods = methods_of(evaluation.methods, part);
  const evaluate::EvaluationOptions options = options_of(job, evaluation.problem, part);
  const std::vector<evaluate::Predictions>& shuffled = evaluation.methods.permuted;
  std::vector<EvaluationRow> rows = evaluate::evaluation_rows(methods, options);
  std::vector<EvaluationRow> permuted = evaluate::permutation_rows(
      [&](uint64_t k) { return only(shuffled[k], part); }, static_cast<int>(shuffled.size()), rows, options);
  std::string note = permutation_note(permuted, shuffled.size(), !evaluation.problem.target.classes.empty());
  const std::set<std::string> movable = evaluate::movable(evaluation.problem.divisions.front().inner);
  const auto moving = static_cast<size_t>(std::count_if(
      part.cases.begin(), part.cases.end(), [&](const std::string& key) { return movable.contains(key); }));
  if (2 * moving < part.cases.size()) {  // labels of their own would pass for a finding
    for (EvaluationRow& row : permuted) {
      row.value = row.ci_low = row.ci_high = std::nullopt;
    }
    note = "no control, for the labels of only " + std::to_string(moving) + " of " +
           std::to_string(part.cases.size()) + " can change" +
           (job.config.evaluate.stratify.empty() ? "" : " inside the strata of --stratify; stratify by less");
  }
  evaluation.notes.push_back("permuted labels (" + part.name + "): " + note);
  rows.insert(rows.end(), permuted.begin(), permuted.end());
  for (EvaluationRow& row : rows) {
    row.group = row.group == "all" ? part.name : row.group;
    evaluation.rows.push_back(std::move(row));
  }
}

void add_differences(const GroupJob& job, const Part& part, Evaluation& evaluation) {
  const std::vector<std::string>& ours = evaluation.methods.of_model;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& own : ours) {
    for (const MethodRow& row : evaluation.methods.rows) {
      if (std::find(ours.begin(), ours.end(), row.method.name) == ours.end()) {
        pairs.emplace_back(own, row.method.name);
      }
    }
  }
  const std::vector<evaluate::Method> methods = methods_of(evaluation.methods, part);
  evaluation.differences =
      evaluate::difference_rows(methods, pairs, options_of(job, evaluation.problem, part));
  for (evaluate::DifferenceRow& row : evaluation.differences) {
    row.group = part.name;
  }
}

std::string division_text(const EvaluationProblem& problem) {
  const int folds = problem.divisions.front().participants.folds;
  std::string text = folds > 0 ? std::to_string(folds) + " folds" : "hold-out";
  if (problem.divisions.size() > 1) {
    text += ", " + std::to_string(problem.divisions.size()) + " seeds";
  }
  for (const Part& part : problem.parts) {
    text += ", " + std::to_string(part.cases.size()) + " tested (" + part.name + ")";
  }
  return text;
}

void evaluate_target(const GroupJob& job, const model::ModelFolder& folder) {
  const auto& head = folder.config.head_target;
  const bool own = head && head->column == job.config.evaluate.target;
  const ModelHistory history = model_history(folder);
  const EvaluationProblem problem =
      evaluation_problem(job, group_target(job, own ? head->classes : std::vector<std::string>()), history);
  std::vector<const StoredRun*> runs = usable_runs(job);
  std::erase_if(runs, [&](const StoredRun* run) {
    return !problem.target.value_of.contains(problem.target.case_of(*run));
  });
  const EmbeddingFeatures features = embedding_features(job, folder, runs);
  job.log.say(Level::Normal, "evaluate: model " + folder.card.name + " on " + problem.target.column + ": " +
                                 division_text(problem));
  const EvaluatedModel model{folder, history, features};
  const EvaluationMethods methods = evaluation_methods(job, problem, model, runs);
  Evaluation evaluation{.problem = problem, .model = model, .methods = methods};
  for (const Part& part : problem.parts) {
    add_part(job, part, evaluation);
  }
  add_differences(job, problem.parts.front(), evaluation);
  if (const std::string note = model::untrained_note(folder.card); !note.empty()) {
    evaluation.notes.push_back(note);
  }
  write_evaluation(job, evaluation);
  say_evaluation(job, evaluation);
  job.log.say(Level::Normal, "evaluate: " + group_file(problem.target.label, "metrics") +
                                 " and its differences, predictions and splits are in " +
                                 job.out_dir.string());
}

void check_word(const std::string& flag, const std::string& word, const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), word) == known.end()) {
    std::string list;
    for (const std::string& one : known) {
      list += (list.empty() ? "" : ", ") + one;
    }
    throw Error(message::kBadValue, flag + " " + word + " is not valid: use one of " + list + ".");
  }
}

}  // namespace

void run_evaluate(const GroupJob& job) {
  const EvaluateOptions& options = job.config.evaluate;
  check_word("--head", options.head, {"linear", "finetune", "fingerprint"});
  check_word("--class-weight", options.class_weight, {"none", "balanced"});
  const model::ModelFolder folder = model::open_model(find_model(job.config.embed.model, job.out_dir));
  if (options.head != "fingerprint") {
    evaluate_target(job, folder);
    return;
  }
  const ModelHistory history = model_history(folder);
  const EmbeddingFeatures features = embedding_features(job, folder, usable_runs(job));
  evaluate_fingerprint(job, {folder, history, features});
}

}  // namespace slim::pipelines
