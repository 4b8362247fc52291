// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>

#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"
#include "pipelines/group.h"
#include "pipelines/group_maps.h"
#include "pipelines/phenotype.h"

namespace slim::pipelines {
namespace {

using Columns = std::vector<std::pair<std::string, std::string>>;

const Columns kRunColumns{{"dataset", "Output folder, slimbrain for OUT_DIR itself."},
                          {"participant_id", "Participant."},
                          {"session_id", "Session."},
                          {"task", "Task label."},
                          {"run", "Run label."}};

Columns with_run_columns(const Columns& more) {
  Columns columns = kRunColumns;
  columns.insert(columns.end(), more.begin(), more.end());
  return columns;
}

std::vector<std::string> run_cells(const StoredRun& run) {
  return {run.dataset, run.cell("sub"), run.cell("ses"), run.cell("task"), run.cell("run")};
}

std::string group_file(const std::string& suffix, const std::string& desc = "") {
  bids::BidsName name{.entities = {}, .suffix = suffix, .extension = ".tsv", .prefix = "group"};
  if (!desc.empty()) {
    name = name.with("desc", desc);
  }
  return name.build();
}

/// One cell of a TSV: no tabs, no line ends.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::string state_of(const StoredRun& run, const std::string& stage, bool there) {
  return there ? "done" : run.failures.contains(stage) ? "failed" : "missing";
}

void write_completeness(const GroupJob& job) {
  GroupTable table{
      .file = group_file("completeness"),
      .description = "What there is of every run.",
      .columns = with_run_columns({{"prep", "Clip store: done, failed or missing."},
                                   {"embed", "Embedding of any model: done, failed or missing."},
                                   {"predict", "Predictions of any target: done, failed or missing."},
                                   {"saliency", "Map of any target: done, failed or missing."},
                                   {"reason", "Why the last try failed."}})};
  for (const StoredRun& run : job.runs) {
    std::vector<std::string> row = run_cells(run);
    row.push_back(state_of(run, "prep", !run.store.empty()));
    row.push_back(state_of(run, "embed", !run.embeddings.empty()));
    row.push_back(state_of(run, "predict", !run.predictions.empty()));
    row.push_back(state_of(run, "saliency", !run.saliency.empty()));
    std::string reason;
    for (const auto& [stage, why] : run.failures) {
      reason += (reason.empty() ? "" : "; ") + stage + ": " + why;
    }
    row.push_back(one_line(reason));
    table.rows.push_back(std::move(row));
  }
  write_group_table(job.out_dir, table);
}

std::string json_cell(const nlohmann::json& json, const char* key) {
  const auto value = json.find(key);
  return value == json.end() || !value->is_number() ? "n/a" : value->dump();
}

void write_qc(const GroupJob& job) {
  const Columns numbers{{"fd_mean_mm", "Mean framewise displacement, mm."},
                        {"fd_perc", "Share of frames displaced by more than 0.5 mm, percent."},
                        {"tsnr_median", "Median over voxels of mean over SD."},
                        {"dvars_std_mean", "Mean standardised DVARS."},
                        {"coverage", "Valid share of the template's brain."},
                        {"mask_dice", "Overlap of the run's mask with the template's brain."},
                        {"registration_ncc", "Correlation of T1w and template."},
                        {"coreg_shift_mm", "Shift of the brain by boundary-based registration, mm."},
                        {"frames_stored", "Stored frames."}};
  Columns columns = with_run_columns(numbers);
  columns.emplace_back("suggested_exclude", "true: look at this run before using it.");
  columns.emplace_back("reason", "Which measures suggest that.");
  GroupTable table{.file = group_file("qc"),
                   .description = "Quality of every prepared run; n/a: no such step.",
                   .columns = columns};
  for (const StoredRun& run : job.runs) {
    if (run.qc.empty()) {
      continue;
    }
    const nlohmann::json qc = read_json(run.root / run.qc);
    std::vector<std::string> row = run_cells(run);
    for (const auto& [key, description] : numbers) {
      row.push_back(json_cell(qc, key.c_str()));
    }
    row.push_back(qc.value("suggested_exclude", false) ? "true" : "false");
    std::string reason;
    for (const nlohmann::json& item : qc.value("reason", nlohmann::json::array())) {
      reason += (reason.empty() ? "" : ", ") + item.get<std::string>();
    }
    row.push_back(one_line(reason));
    table.rows.push_back(std::move(row));
  }
  write_group_table(job.out_dir, table);
}

/// The last row of an embedding table is the run's; the others are its clips.
std::vector<std::string> embedding_row(const StoredRun& run, const bids::Table& clips) {
  std::vector<std::string> row = run_cells(run);
  row.push_back(std::to_string(clips.rows.size() - 1));
  const size_t first = clips.column("dim_0000").value_or(clips.columns.size());
  row.insert(row.end(), clips.rows.back().begin() + static_cast<std::ptrdiff_t>(first),
             clips.rows.back().end());
  return row;
}

void write_embeddings(const GroupJob& job, const std::string& model) {
  // Not `embedding`: by BIDS inheritance the sidecar of such a name would apply to every participant's table.
  GroupTable table{.file = group_file("embeddings", model),
                   .description = "Embedding of every run (mean over its clips) by model " + model + ".",
                   .columns = with_run_columns({{"n_clips", "Clips that the mean was taken over."}})};
  const size_t fixed = table.columns.size();
  std::string weights, first_unit;
  for (const StoredRun& run : job.runs) {
    const auto path = run.embeddings.find(model);
    if (path == run.embeddings.end()) {
      continue;
    }
    const std::filesystem::path file = run.root / path->second;
    std::filesystem::path sidecar = file;
    sidecar.replace_extension(".json");
    const nlohmann::json block = read_json(sidecar).at("Slimbrain");
    const std::string hash = block.at("Model").at("WeightsSHA256");
    if (weights.empty()) {
      weights = hash;
      first_unit = run.unit();
      table.more["Slimbrain"] = {{"Model", block.at("Model")},
                                 {"Background", block.at("Background")},
                                 {"Ranker", block.at("Ranker")}};
    } else if (weights != hash) {
      throw Error(message::kUnfitModel, "Two models of the name " + model + " made these embeddings.",
                  {.file = file.string(),
                   .expected = weights + " as of " + first_unit,
                   .found = hash,
                   .remedy = "embed all runs anew with one model"});
    }
    const bids::Table clips = bids::read_tsv(file);
    if (clips.rows.empty() || clips.rows.back().front() != "run") {
      throw Error(message::kBadTable, "The last row of an embedding table is the run's; this one has none.",
                  {.file = file.string()});
    }
    if (table.columns.size() == fixed) {
      for (const std::string& column : clips.columns) {
        if (column.starts_with("dim_")) {
          table.columns.emplace_back(column, "Dimension of the feature.");
        }
      }
    }
    table.rows.push_back(embedding_row(run, clips));
    if (table.rows.back().size() != table.columns.size()) {
      throw Error(message::kBadTable, "This embedding has another width than that of " + first_unit + ".",
                  {.file = file.string()});
    }
  }
  write_group_table(job.out_dir, table);
  job.log.say(Level::Normal, "aggregate: " + std::to_string(table.rows.size()) + " runs in " + table.file);
}

/// Adds what the labels of models and targets mean to descriptions.tsv.
void grow_descriptions(const GroupJob& job, const std::set<std::string>& models) {
  const std::filesystem::path path = job.out_dir / "descriptions.tsv";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return;
  }
  std::map<std::string, std::string> texts;
  const bids::Table table = bids::read_tsv(path);
  for (size_t row = 0; row < table.rows.size(); ++row) {
    const std::string *label = table.cell(row, "desc_id"), *text = table.cell(row, "description");
    if (label == nullptr || text == nullptr || table.columns.size() != 2) {
      return;  // a user's own table
    }
    texts[*label] = *text;
  }
  for (const std::string& model : models) {
    texts.emplace("desc-" + model, "Embeddings by model " + model);
  }
  for (const StoredRun& run : job.runs) {
    for (const auto& [target, file] : run.predictions) {
      texts.emplace("desc-" + target, "Predictions of " + target + ", and maps of where they came from");
    }
  }
  std::string text = "desc_id\tdescription\n";
  for (const auto& [label, meaning] : texts) {
    text += label + "\t" + meaning + "\n";
  }
  write_text_if_different(path, text);
}

}  // namespace

void run_aggregate(const GroupJob& job) {
  if (job.runs.empty()) {
    throw Error(message::kEmptySelection, "There is nothing to aggregate.",
                {.file = job.out_dir.string(), .remedy = "slimbrain BIDS_DIR OUT_DIR participant"});
  }
  write_completeness(job);
  write_qc(job);
  std::set<std::string> models;
  for (const StoredRun& run : job.runs) {
    for (const auto& [model, path] : run.embeddings) {
      models.insert(model);
    }
  }
  for (const std::string& model : models) {
    write_embeddings(job, model);
  }
  write_phenotypes(job);
  write_group_maps(job);
  grow_descriptions(job, models);
}

}  // namespace slim::pipelines
