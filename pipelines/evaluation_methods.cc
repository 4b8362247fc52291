// SPDX-License-Identifier: Apache-2.0
#include "pipelines/evaluation_methods.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "core/error.h"
#include "evaluate/aggregate.h"
#include "pipelines/baseline_features.h"
#include "pipelines/head.h"
#include "pipelines/untrained_features.h"

namespace slim::pipelines {
namespace {

/// Places of a target's classes among those of a head; one output for numbers.
std::vector<size_t> outputs_of(const model::HeadTarget& head, const GroupTarget& target) {
  std::vector<size_t> outputs;
  for (const std::string& name : target.classes) {
    outputs.push_back(static_cast<size_t>(std::find(head.classes.begin(), head.classes.end(), name) -
                                          head.classes.begin()));
  }
  return target.classes.empty() ? std::vector<size_t>{0} : outputs;
}

/// The head's predictions for the tested cases that no training saw: those of `tested` with other outputs.
evaluate::Predictions head_predictions(const Head& head, const EvaluatedModel& model,
                                       const GroupTarget& target, const evaluate::Predictions& tested) {
  const EmbeddingFeatures& features = model.features;
  std::map<std::string, std::vector<std::vector<float>>> clips;
  for (int64_t clip = 0; clip < features.clips(); ++clip) {
    const auto row = features.values.begin() + clip * features.columns;
    clips[target.case_of(*features.run_of[static_cast<size_t>(clip)])].emplace_back(row,
                                                                                    row + features.columns);
  }
  const std::vector<size_t> wanted = outputs_of(head.target, target);
  evaluate::Predictions result{tested.classes, {}};
  for (evaluate::Prediction row : tested.rows) {
    const std::string participant = participant_of(row.key);
    if (!clips.contains(row.key) ||
        !evaluate::leaked(std::span(&participant, 1), model.history.trained).empty()) {
      continue;
    }
    const std::vector<double> outputs = head.outputs(clips.at(row.key));
    std::vector<double> values;
    for (size_t first = 0; first < outputs.size(); first += head.bias.size()) {
      for (const size_t o : wanted) {
        values.push_back(outputs[first + o]);
      }
    }
    if (tested.classes > 0) {
      row.output = evaluate::aggregate_classes(values, tested.classes).probabilities;
    } else {
      row.output = {head.aggregate(values).prediction};
      row.training_sd = head.target.sd;
    }
    result.rows.push_back(std::move(row));
  }
  result.finish();
  return result;
}

MethodRow fitted_row(const RowFeatures& features, const EvaluationProblem& problem,
                     const evaluate::FitOptions& options) {
  MethodRow row{{features.method, {}, features.why_absent}, features.description};
  if (!row.method.why_absent.empty()) {
    return row;
  }
  try {
    for (const Division& division : problem.divisions) {
      row.method.repeats.push_back(predict(features.table, division, options));
    }
  } catch (const Error& error) {  // too few participants have these features: the other rows stand
    if (error.code() != message::kEmptySelection.code) {
      throw;
    }
    row.method = {features.method, {}, error.sentence()};
  }
  return row;
}

std::vector<evaluate::Predictions> permuted_predictions(const GroupJob& job, const EvaluationProblem& problem,
                                                        const evaluate::FeatureTable& features,
                                                        const evaluate::FitOptions& options) {
  std::vector<evaluate::Predictions> all(kPermutations);
  tbb::task_arena arena(job.threads);
  arena.execute([&] {
    tbb::parallel_for(0, kPermutations, [&](int k) {
      if (job.stop) {
        throw Error(message::kStopped, "Stopped between two permutations.");
      }
      try {
        all[static_cast<size_t>(k)] =
            predict(features, permuted(problem.divisions.front(), static_cast<uint64_t>(k)), options);
      } catch (
          const Error& error) {  // shuffled labels may leave a fold without a class, as true ones may not
        if (error.code() != message::kEmptySelection.code) {
          throw;
        }
      }
    });
  });
  std::erase_if(all, [](const evaluate::Predictions& predictions) { return predictions.rows.empty(); });
  return all;
}

/// Whether the model's head predicts this target; a sentence why not otherwise.
std::string why_no_head(const model::ModelFolder& model, const GroupTarget& target) {
  const auto& head = model.config.head_target;
  if (!head) {
    return "model " + model.card.name + " has no head";
  }
  if (head->column != target.column || head->classes.empty() != target.classes.empty()) {
    return "the head of model " + model.card.name + " predicts " + head->column;
  }
  return {};
}

}  // namespace

EvaluationMethods evaluation_methods(const GroupJob& job, const EvaluationProblem& problem,
                                     const EvaluatedModel& model, std::span<const StoredRun* const> runs) {
  const GroupTarget& target = problem.target;
  const evaluate::FitOptions options{.balanced = job.config.evaluate.class_weight == "balanced"};
  EvaluationMethods methods;
  MethodRow guess{{target.classes.empty() ? "mean" : "majority", {}, {}},
                  target.classes.empty() ? "Mean of the training part."
                                         : "Most frequent class of the training part; its shares as "
                                           "probabilities."};
  for (const Division& division : problem.divisions) {
    guess.method.repeats.push_back(predict_without_looking(division));
  }
  const std::vector<evaluate::Predictions> tested = guess.method.repeats;
  methods.rows.push_back(std::move(guess));
  methods.rows.push_back(fitted_row(motion_features(target, runs), problem, options));
  methods.rows.push_back(fitted_row(demographic_features(job, target), problem, options));
  for (const RowFeatures& features : signal_features(job, target, runs)) {
    methods.rows.push_back(fitted_row(features, problem, options));
  }
  const auto case_of = [&](const StoredRun& run) { return target.case_of(run); };
  methods.rows.push_back(
      fitted_row({.method = "untrained",
                  .description = "Linear fit on features of an encoder of the same shape with initial "
                                 "weights (seed 1), from the same clips.",
                  .table = untrained_features(job, model.folder, model.features).means(case_of)},
                 problem, options));
  const RowFeatures probe{
      .method = "probe",
      .description = "Linear fit on the features of model " + model.folder.card.name + ", encoder frozen.",
      .table = model.features.means(case_of)};
  methods.rows.push_back(fitted_row(probe, problem, options));
  methods.of_model.push_back("probe");
  methods.permuted = permuted_predictions(job, problem, probe.table, options);
  const std::string tuned =
      model.folder.card.tuning ? model.folder.card.tuning->method : std::string("finetune");
  MethodRow own{{tuned, {}, why_no_head(model.folder, target)},
                "Own head of model " + model.folder.card.name + ", for participants that no training saw."};
  if (own.method.why_absent.empty()) {
    const Head head = head_of(model.folder);
    for (const evaluate::Predictions& all : tested) {
      own.method.repeats.push_back(head_predictions(head, model, target, all));
    }
    methods.of_model.push_back(tuned);
  }
  methods.rows.push_back(std::move(own));
  return methods;
}

}  // namespace slim::pipelines
