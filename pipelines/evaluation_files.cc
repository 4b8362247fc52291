// SPDX-License-Identifier: Apache-2.0
#include "pipelines/evaluation_files.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/version.h"
#include "evaluate/splits_table.h"

namespace slim::pipelines {
namespace {

using evaluate::cell_text;
using evaluate::EvaluationRow;
using Columns = std::vector<std::pair<std::string, std::string>>;

const Columns kShared{{"split", "Which participants were predicted."},
                      {"group", "all, or the participants of one kind only."},
                      {"metric", "What was measured."},
                      {"value", "Mean over repeats."},
                      {"ci_low", "Lower end of the 95 % interval (bootstrap over participants or groups)."},
                      {"ci_high", "Upper end of that interval."}};

Columns with_shared(Columns first, const Columns& last) {
  first.insert(first.end(), kShared.begin(), kShared.end());
  first.insert(first.end(), last.begin(), last.end());
  return first;
}

nlohmann::json target_json(const GroupTarget& target) {
  nlohmann::json json{{"Name", target.label},
                      {"Column", target.column},
                      {"Values", target.value_of.size()},
                      {"Missing", target.missing.size()}};
  if (!target.classes.empty()) {
    json["Classes"] = target.classes;
  }
  if (!target.units.empty()) {
    json["Units"] = target.units;
  }
  return json;
}

/// Bins of the top probability of a method's predictions for the cases of a part.
nlohmann::json reliability_json(const std::vector<evaluate::Predictions>& repeats, const Part& part) {
  std::vector<int> truth;
  std::vector<double> probabilities;
  for (const evaluate::Predictions& repeat : repeats) {
    for (const evaluate::Prediction& row : repeat.rows) {
      if (part.cases.contains(row.key)) {
        truth.push_back(static_cast<int>(row.truth));
        probabilities.insert(probabilities.end(), row.output.begin(), row.output.end());
      }
    }
  }
  const auto or_null = [](const evaluate::Value& value) {
    return value ? nlohmann::json(*value) : nlohmann::json();
  };
  nlohmann::json bins = nlohmann::json::array();
  for (const evaluate::ReliabilityBin& bin :
       evaluate::reliability(truth, probabilities, repeats.front().classes)) {
    bins.push_back({{"Low", bin.low},
                    {"High", bin.high},
                    {"N", bin.n},
                    {"Confidence", or_null(bin.confidence)},
                    {"Accuracy", or_null(bin.accuracy)}});
  }
  return bins;
}

nlohmann::json methods_json(const Evaluation& evaluation) {
  nlohmann::json json = nlohmann::json::object();
  for (const MethodRow& row : evaluation.methods.rows) {
    nlohmann::json& entry = json[row.method.name] = {{"Description", row.description}};
    if (!row.method.why_absent.empty()) {
      entry["NotAvailable"] = row.method.why_absent;
    } else if (!evaluation.problem.target.classes.empty()) {
      const Part& part = evaluation.problem.parts.front();
      entry["Reliability"] = {{"Group", part.name}, {"Bins", reliability_json(row.method.repeats, part)}};
    }
  }
  json["permuted"] = {{"Description", "Probe on labels shuffled among participants, " +
                                          std::to_string(evaluation.methods.permuted.size()) +
                                          " times: mean, and the interval that holds 95 % of them."}};
  return json;
}

nlohmann::json splits_json(const EvaluationProblem& problem) {
  nlohmann::json json = nlohmann::json::array();
  for (const Division& division : problem.divisions) {
    json.push_back({{"Seed", division.participants.seed},
                    {"Folds", division.participants.folds},
                    {"Hash", evaluate::hash_of(division.participants)}});
  }
  return json;
}

/// Dataset, participant and session of a case; n/a for no session.
std::vector<std::string> cells_of_case(const std::string& key) {
  const size_t first = key.find('/'), second = key.find('/', first + 1);
  const bool whole = second == std::string::npos;
  return {key.substr(0, first), key.substr(first + 1, whole ? second : second - first - 1),
          whole ? "n/a" : key.substr(second + 1)};
}

struct CaseCounts {
  std::set<const StoredRun*> runs{};
  int64_t clips = 0;
};

std::map<std::string, CaseCounts> counts_of(const Evaluation& evaluation) {
  std::map<std::string, CaseCounts> counts;
  for (const StoredRun* run : evaluation.model.features.run_of) {
    CaseCounts& of_case = counts[evaluation.problem.target.case_of(*run)];
    of_case.runs.insert(run);
    ++of_case.clips;
  }
  return counts;
}

GroupTable predictions_table(const Evaluation& evaluation) {
  const GroupTarget& target = evaluation.problem.target;
  GroupTable table{.file = group_file(target.label, "predictions"),
                   .description = "What each method said of each tested participant.",
                   .columns = {{"dataset", "Output folder, slimbrain for OUT_DIR itself."},
                               {"participant_id", "Participant."},
                               {"session_id", "Session, where sessions have values of their own."},
                               {"method", "Row of the table of metrics."},
                               {"seed", "Seed of the division."},
                               {"truth", "What the table of targets says."},
                               {"prediction", "Class of the greatest probability, or number."}}};
  for (const std::string& name : target.classes) {
    table.columns.emplace_back("probability_" + name, "Probability of class " + name + ".");
  }
  const Columns last{{"split", "Part of the division."},
                     {"fold", "Fold that tested the participant; n/a for a hold-out or external data."},
                     {"pretrained", "true: pre-training (without the target) saw the participant."},
                     {"n_runs", "Runs behind the features."},
                     {"n_clips", "Clips behind the features."}};
  table.columns.insert(table.columns.end(), last.begin(), last.end());
  std::map<std::string, CaseCounts> counts = counts_of(evaluation);
  for (const MethodRow& row : evaluation.methods.rows) {
    for (size_t r = 0; r < row.method.repeats.size(); ++r) {
      const evaluate::Splits& splits = evaluation.problem.divisions[r].participants;
      for (const evaluate::Prediction& one : row.method.repeats[r].rows) {
        std::vector<std::string> cells = cells_of_case(one.key);
        cells.push_back(row.method.name);
        cells.push_back(std::to_string(splits.seed));
        if (target.classes.empty()) {
          cells.push_back(cell_text(one.truth));
          cells.push_back(cell_text(one.output.front()));
        } else {
          const int predicted =
              evaluate::predicted_classes(one.output, static_cast<int>(target.classes.size())).front();
          cells.push_back(target.classes[static_cast<size_t>(one.truth)]);
          cells.push_back(target.classes[static_cast<size_t>(predicted)]);
          for (const double p : one.output) {
            cells.push_back(cell_text(p));
          }
        }
        const CaseCounts& of_case = counts[one.key];
        const bool pretrained = evaluation.model.history.was_pretrained(participant_of(one.key));
        cells.insert(cells.end(),
                     {"test", splits.folds > 0 && one.fold >= 0 ? std::to_string(one.fold) : "n/a",
                      pretrained ? "true" : "false", std::to_string(of_case.runs.size()),
                      std::to_string(of_case.clips)});
        table.rows.push_back(std::move(cells));
      }
    }
  }
  return table;
}

GroupTable differences_table(const Evaluation& evaluation) {
  GroupTable table{
      .file = group_file(evaluation.problem.target.label, "differences"),
      .description = "The model's methods against each baseline, over participants that both predict.",
      .columns = with_shared({{"method", "Method of the model."}, {"versus", "Baseline."}},
                             {{"p", "Two-sided p of the paired bootstrap."},
                              {"p_holm", "p after Holm's correction over all rows of this table."},
                              {"n", "Participants."},
                              {"units", "Units of the difference."}})};
  for (const evaluate::DifferenceRow& row : evaluation.differences) {
    table.rows.push_back({row.method, row.versus, row.split, row.group, row.metric, cell_text(row.value),
                          cell_text(row.ci_low), cell_text(row.ci_high), cell_text(row.p),
                          cell_text(row.p_holm), std::to_string(row.n), row.units});
  }
  return table;
}

GroupTable splits_table(const EvaluationProblem& problem) {
  GroupTable table{.file = group_file(problem.target.label, "splits"),
                   .description = "Who was in which part, one block a seed.",
                   .columns = {{"dataset", "Output folder, slimbrain for OUT_DIR itself."},
                               {"participant_id", "Participant."},
                               {"group", "What is never divided (--cv-group)."},
                               {"stratum", "What is balanced among the parts."},
                               {"fold", "Fold that tests the participant."},
                               {"split", "Part of a hold-out."},
                               {"seed", "Seed of the division."},
                               {"hash", "SHA-256 of the division."}}};
  for (const Division& division : problem.divisions) {
    const std::string text = evaluate::splits_tsv(std::span(&division.participants, 1));
    for (size_t first = text.find('\n') + 1; first < text.size();) {
      const size_t end = text.find('\n', first);
      std::vector<std::string> cells(1);
      for (const char c : text.substr(first, end - first)) {
        c == '\t' ? void(cells.emplace_back()) : cells.back().push_back(c);
      }
      table.rows.push_back(std::move(cells));
      first = end + 1;
    }
  }
  return table;
}

}  // namespace

std::string group_file(const std::string& label, const std::string& suffix) {
  return bids::BidsName{.entities = {}, .suffix = suffix, .extension = ".tsv", .prefix = "group"}
      .with("desc", label)
      .build();
}

GroupTable metrics_table(const std::string& label, const std::string& description,
                         std::span<const EvaluationRow> rows) {
  GroupTable table{.file = group_file(label, "metrics"),
                   .description = description,
                   .columns = with_shared({{"method", "Who predicts; Methods says what each is."}},
                                          {{"n", "Participants."},
                                           {"chance", "Value of a guess that looks at nobody."},
                                           {"units", "Units of the value."}})};
  for (const EvaluationRow& row : rows) {
    table.rows.push_back({row.method, row.split, row.group, row.metric, cell_text(row.value),
                          cell_text(row.ci_low), cell_text(row.ci_high), std::to_string(row.n),
                          cell_text(row.chance), row.units});
  }
  return table;
}

nlohmann::json evaluated_block(const EvaluatedModel& model) {
  return {{"Version", kVersion},
          {"Stage", "evaluate"},
          {"Model",
           {{"Name", model.folder.card.name},
            {"WeightsSHA256", model.folder.card.weights_sha256},
            {"Trained", model.folder.card.trained}}},
          {"Background", model.features.background},
          {"Ranker", model.features.ranker}};
}

void write_evaluation(const GroupJob& job, const Evaluation& evaluation) {
  GroupTable metrics = metrics_table(
      evaluation.problem.target.label,
      "How well each method predicts " + evaluation.problem.target.column + ".", evaluation.rows);
  metrics.more = {{"Target", target_json(evaluation.problem.target)},
                  {"Splits", splits_json(evaluation.problem)},
                  {"BootstrapDraws", evaluate::EvaluationOptions{}.draws},
                  {"Methods", methods_json(evaluation)},
                  {"Notes", evaluation.notes}};
  std::vector<GroupTable> tables{splits_table(evaluation.problem), predictions_table(evaluation),
                                 differences_table(evaluation), std::move(metrics)};
  for (GroupTable& table : tables) {
    table.more["Slimbrain"] = evaluated_block(evaluation.model);
    write_group_table(job.out_dir, table);
  }
}

std::string short_number(const evaluate::Value& value) {
  if (!value || !std::isfinite(*value)) {
    return "n/a";
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", *value);
  return text;
}

std::vector<std::string> aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], row[c].size());
    }
  }
  std::vector<std::string> lines;
  for (const std::vector<std::string>& row : rows) {
    std::string line = " ";
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string gap(widths[c] - row[c].size(), ' ');
      line += " " + (c < 1 ? row[c] + gap : gap + row[c]) + " ";
    }
    lines.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
  }
  return lines;
}

void say_evaluation(const GroupJob& job, const Evaluation& evaluation) {
  const GroupTarget& target = evaluation.problem.target;
  const std::string metric = target.classes.empty() ? "pearson_r" : "auc";
  for (const Part& part : evaluation.problem.parts) {
    std::vector<std::vector<std::string>> lines{
        {"method", target.classes.empty() ? "r" : "AUC", "95 % interval", "n", "chance"}};
    std::vector<std::string> absent;
    for (const EvaluationRow& row : evaluation.rows) {
      if (row.group != part.name || row.metric != metric) {
        continue;
      }
      if (!row.value && row.n == 0) {
        absent.push_back("  " + row.method + ": n/a, " +
                         (row.note.empty() || row.note.starts_with("undefined")
                              ? "it predicts none of these participants"
                              : row.note));
        continue;
      }
      lines.push_back({row.method, short_number(row.value),
                       row.ci_low ? short_number(row.ci_low) + " to " + short_number(row.ci_high) : "n/a",
                       std::to_string(row.n), short_number(row.chance)});
    }
    job.log.say(Level::Normal, "evaluate: " + target.column + ", participants: " + part.name);
    for (const std::string& line : aligned(lines)) {
      job.log.say(Level::Normal, line);
    }
    for (const std::string& line : absent) {
      job.log.say(Level::Normal, line);
    }
  }
  for (const std::string& note : evaluation.notes) {
    job.log.say(Level::Normal, "evaluate: " + note);
  }
}

}  // namespace slim::pipelines
