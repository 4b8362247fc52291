// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/evaluation_methods.h"

namespace slim::pipelines {

/// Everything that an evaluation found.
struct Evaluation {
  const EvaluationProblem& problem;
  const EvaluatedModel& model;
  const EvaluationMethods& methods;
  std::vector<evaluate::EvaluationRow> rows{};  // of all parts
  std::vector<evaluate::DifferenceRow> differences{};
  std::vector<std::string> notes{};
};

/// Writes group_desc-<target>_{metrics,differences,predictions,splits}.{tsv,json}.
void write_evaluation(const GroupJob& job, const Evaluation& evaluation);

/// Says the main metric (AUC or r) of every method and part as a table of text.
void say_evaluation(const GroupJob& job, const Evaluation& evaluation);

/// A table of rows of the metrics, with what each column is; `label` stands after desc-.
GroupTable metrics_table(const std::string& label, const std::string& description,
                         std::span<const evaluate::EvaluationRow> rows);
/// group_desc-<label>_<suffix>.tsv.
std::string group_file(const std::string& label, const std::string& suffix);
/// Keys of the sidecars that say which model was evaluated, and how.
nlohmann::json evaluated_block(const EvaluatedModel& model);

/// Lines of a table of text, its columns aligned; the first row is the head.
std::vector<std::string> aligned(const std::vector<std::vector<std::string>>& rows);
/// A number with three digits after the point, n/a when undefined.
std::string short_number(const evaluate::Value& value);

}  // namespace slim::pipelines
