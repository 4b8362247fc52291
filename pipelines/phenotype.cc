// SPDX-License-Identifier: Apache-2.0
#include "pipelines/phenotype.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"
#include "evaluate/aggregate.h"
#include "evaluate/evaluation_table.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

constexpr std::string_view kProbability = "probability_";

/// One participant's clips, of all its runs.
struct Clips {
  std::vector<double> outputs{};  // log-probabilities [clips, classes], or numbers [clips]
  std::string split, pretrained;
  int64_t runs = 0;
};

/// Everybody's predictions of one target by one model.
struct Predicted {
  std::vector<std::string> classes{};  // empty = numbers
  std::map<std::string, Clips> people{};
  nlohmann::json model, target;  // of the sidecars
  std::string unit;              // an example
};

double number_in(const fs::path& file, const std::string& cell) {
  const std::optional<double> value = bids::to_number(cell);
  if (!value || !std::isfinite(*value)) {
    throw Error(message::kBadTable, "A prediction is no number.", {.file = file.string(), .found = cell});
  }
  return *value;
}

/// The logits of a clip up to a constant, which softmax does not see. What has underflowed stays finite.
double log_probability(double probability) {
  return std::log(std::max(probability, std::numeric_limits<double>::min()));
}

void add_run(const fs::path& file, const std::string& participant, Predicted& predicted) {
  const bids::Table table = bids::read_tsv(file);
  std::vector<std::string> classes;
  for (const std::string& column : table.columns) {
    if (column.starts_with(kProbability)) {
      classes.push_back(column.substr(kProbability.size()));
    }
  }
  for (const char* column : {"level", "prediction", "split", "pretrained"}) {
    if (!table.column(column)) {
      throw Error(message::kBadTable, "A table of predictions lacks a column.",
                  {.file = file.string(), .expected = column});
    }
  }
  if (!predicted.people.empty() && classes != predicted.classes) {
    throw Error(message::kBadTable, "This table has other classes than that of " + predicted.unit + ".",
                {.file = file.string()});
  }
  predicted.classes = classes;
  Clips& clips = predicted.people[participant];
  for (size_t row = 0; row < table.rows.size(); ++row) {
    if (*table.cell(row, "level") != "clip") {
      continue;
    }
    for (const std::string& name : classes) {
      clips.outputs.push_back(
          log_probability(number_in(file, *table.cell(row, std::string(kProbability) + name))));
    }
    if (classes.empty()) {
      clips.outputs.push_back(number_in(file, *table.cell(row, "prediction")));
    }
    clips.split = *table.cell(row, "split");
    clips.pretrained = *table.cell(row, "pretrained");
  }
  ++clips.runs;
}

Predicted predictions_of(const GroupJob& job, const std::string& target) {
  Predicted predicted;
  for (const StoredRun& run : job.runs) {
    const auto path = run.predictions.find(target);
    if (path == run.predictions.end() || run.root != job.out_dir) {
      continue;
    }
    const fs::path file = run.root / path->second;
    fs::path sidecar = file;
    const nlohmann::json block = read_json(sidecar.replace_extension(".json")).at("Slimbrain");
    if (predicted.people.empty()) {
      predicted.unit = run.unit();
      predicted.model = block.at("Model");
      predicted.target = block.at("Target");
    } else if (block.at("Model") != predicted.model) {
      throw Error(message::kUnfitModel, "Two models made these predictions of " + target + ".",
                  {.file = file.string(),
                   .expected = predicted.model.dump() + " as of " + predicted.unit,
                   .found = block.at("Model").dump(),
                   .remedy = "predict all runs anew with one model"});
    }
    add_run(file, run.cell("sub"), predicted);
  }
  return predicted;
}

std::vector<std::string> cells_of(const std::string& participant, const Clips& clips,
                                  const std::vector<std::string>& classes) {
  const bool numbers = classes.empty();
  const evaluate::Aggregate together =
      numbers ? evaluate::aggregate_numbers(clips.outputs, 0, 1)
              : evaluate::aggregate_classes(clips.outputs, static_cast<int>(classes.size()));
  std::vector<std::string> cells{
      participant,
      numbers ? evaluate::cell_text(together.prediction) : classes[static_cast<size_t>(together.prediction)],
      evaluate::cell_text(together.sd)};
  for (const double probability : together.probabilities) {
    cells.push_back(evaluate::cell_text(probability));
  }
  cells.insert(cells.end(), {clips.split, "n/a", std::to_string(clips.runs), std::to_string(together.n_clips),
                             clips.pretrained});
  return cells;
}

GroupTable table_of(const std::string& target, const Predicted& predicted) {
  const std::string model = predicted.model.value("Name", "");
  GroupTable table{
      .file =
          bids::BidsName{.entities = {}, .suffix = "predictions", .extension = ".tsv", .prefix = "slimbrain"}
              .with("desc", target)
              .build(),
      .description = "Predictions of " + target + " for each participant by model " + model + ".",
      .columns = {{"participant_id", "Participant."},
                  {target + "_prediction", "Predicted " + target + ", from all clips of the participant."},
                  {target + "_sd",
                   "Standard deviation over clips of the number, or of the predicted class's probability."}}};
  for (const std::string& name : predicted.classes) {
    table.columns.emplace_back(std::string(kProbability) + name, "Probability of class " + name + ".");
  }
  const std::vector<std::pair<std::string, std::string>> last{
      {"split", "What the participant was to the model's head: train, validation, test or none."},
      {"fold", "Fold that tested the participant; n/a: the model learnt from one division."},
      {"n_runs", "Runs behind the prediction."},
      {"n_clips", "Clips behind the prediction."},
      {"pretrained", "Whether pre-training learnt from the participant; n/a: not known."}};
  table.columns.insert(table.columns.end(), last.begin(), last.end());
  for (const auto& [participant, clips] : predicted.people) {
    table.rows.push_back(cells_of(participant, clips, predicted.classes));
  }
  table.more["MeasurementToolMetadata"] = {
      {"Description", "Head of the SLIM-Brain model " + model + ", applied by slimbrain to BOLD clips."}};
  table.more["Slimbrain"] = {{"Model", predicted.model}, {"Target", predicted.target}};
  return table;
}

}  // namespace

void write_phenotypes(const GroupJob& job) {
  std::set<std::string> targets;
  for (const StoredRun& run : job.runs) {
    for (const auto& [target, path] : run.predictions) {
      targets.insert(target);
    }
  }
  for (const std::string& target : targets) {
    const Predicted predicted = predictions_of(job, target);
    if (predicted.people.empty()) {
      continue;  // those of another folder belong there
    }
    create_folder(job.out_dir / "phenotype");
    const GroupTable table = table_of(target, predicted);
    write_group_table(job.out_dir / "phenotype", table);
    job.log.say(Level::Normal, "aggregate: " + std::to_string(table.rows.size()) +
                                   " participants in phenotype/" + table.file);
  }
}

}  // namespace slim::pipelines
