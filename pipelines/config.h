// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"
#include "pipelines/model_options.h"
#include "preproc/prepare_mni.h"

namespace slim::pipelines {

struct InputOptions {
  std::vector<std::string> derivatives{};
  std::string input_type = "auto";
  std::string space{}, res{}, desc{};
  std::optional<double> repetition_time{};
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("derivatives", &InputOptions::derivatives,
          "NAME=PATH or PATH. participant: where MNI-space BOLD is, the first that holds a run wins; group: "
          "further output folders");
    visit("input_type", &InputOptions::input_type,
          "auto, raw, fmriprep, hcp or derivative: forces the producer");
    visit("space", &InputOptions::space,
          "space label of the derivative image (empty: best of the usable ones)");
    visit("res", &InputOptions::res, "resolution label of the derivative image");
    visit("desc", &InputOptions::desc, "desc label of the derivative image (empty: preproc)");
    visit("repetition_time", &InputOptions::repetition_time,
          "replaces a missing or contradictory repetition time, s");
  }
};

struct SelectOptions {
  std::vector<std::string> participant_label{}, exclude_participant_label{}, session_label{}, task_label{},
      run_label{};
  std::vector<std::string> filter{};
  std::string bids_filter_file{};
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("participant_label", &SelectOptions::participant_label,
          "only these participants (with or without sub-)");
    visit("exclude_participant_label", &SelectOptions::exclude_participant_label,
          "all but these participants");
    visit("session_label", &SelectOptions::session_label, "only these sessions");
    visit("task_label", &SelectOptions::task_label, "only these tasks");
    visit("run_label", &SelectOptions::run_label, "only these runs (1 = 01)");
    visit("filter", &SelectOptions::filter, "ENTITY=VALUE of the BOLD file, for example acq=mb");
    visit("bids_filter_file", &SelectOptions::bids_filter_file,
          "JSON file of entity filters, as other BIDS Apps take it");
  }
};

struct ResourceOptions {
  std::optional<int64_t> nprocs{}, runs_at_once{}, batch_size{};
  std::string mem{};
  std::string device = "auto", precision = "fp32";
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("nprocs", &ResourceOptions::nprocs,
          "threads of the whole process (default: what the machine or job grants)", Role::Run);
    visit("mem", &ResourceOptions::mem,
          "memory budget with a unit, for example 8GB (default: what the job grants)", Role::Run);
    visit("runs_at_once", &ResourceOptions::runs_at_once,
          "runs prepared in parallel (default: by memory and threads)", Role::Run);
    visit("device", &ResourceOptions::device, "auto, cpu, cuda or cuda:N", Role::Run);
    visit("precision", &ResourceOptions::precision, "fp32, or bf16 on CUDA; changes embeddings by about 1e-2",
          Role::Run);
    visit("batch_size", &ResourceOptions::batch_size,
          "clips per forward pass (default: 1 on CPU, 16 on CUDA)", Role::Run);
  }
};

struct RunOptions {
  std::vector<std::string> stages{};
  bool force = false, dry_run = false, print_config = false, stop_on_first_crash = false;
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("stages", &RunOptions::stages,
          "participant: prep, embed, predict, saliency (default: prep, embed; predict and saliency too when "
          "the "
          "model has a head); group: index, pretrain, finetune, evaluate, aggregate (default: aggregate)");
    visit("force", &RunOptions::force, "redo units that are complete and current");
    visit("dry_run", &RunOptions::dry_run, "show what would be done and why; write nothing");
    visit("print_config", &RunOptions::print_config, "show every setting with its origin; do nothing");
    visit("stop_on_first_crash", &RunOptions::stop_on_first_crash, "stop at the first unit that fails");
  }
};

struct ReportOptions {
  std::string log_format = "text", progress = "auto";
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("log_format", &ReportOptions::log_format, "text, or json: one object a line on standard error");
    visit("progress", &ReportOptions::progress, "auto, bar, plain or none");
  }
};

/// Everything a call can be told, in the sections users see. One struct of structs; Note [Options].
struct Config {
  InputOptions input{};
  SelectOptions select{};
  ResourceOptions resources{};
  preproc::PrepOptions prep{};
  EmbedOptions embed{};
  SaliencyOptions saliency{};
  TrainOptions train{};
  EvaluateOptions evaluate{};
  RunOptions run{};
  ReportOptions report{};
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("input", &Config::input, "Inputs", Role::Run);
    visit("select", &Config::select, "Selection", Role::Run);
    visit("resources", &Config::resources, "Resources", Role::Run);
    visit("prep", &Config::prep, "Preparation", Role::Science);
    visit("embed", &Config::embed, "Embedding", Role::Science);
    visit("saliency", &Config::saliency, "Saliency", Role::Science);
    visit("train", &Config::train, "Training", Role::Science);
    visit("evaluate", &Config::evaluate, "Targets and evaluation", Role::Science);
    visit("run", &Config::run, "Run control", Role::Run);
    visit("report", &Config::report, "Reporting", Role::Run);
  }
};

/// The table of all fields of a config, bound to it.
std::vector<Field> config_fields(Config& config);

/// Where each setting's value came from: path -> "default", "file F", "environment", "flag". Absent =
/// default.
using Origins = std::map<std::string, std::string>;

/// Applies a recipe file ({"slimbrain_config": 1, "prep": {...}}) or a run record (its "config"). Positionals
/// and the section `run` are not part of a recipe. Errors SB1006, SB1002, SB2019, SB2101.
void apply_config_file(const std::vector<Field>& fields, const std::string& path, Origins& origins);

/// Applies SLIMBRAIN_<FLAG> variables; returns a sentence for each unknown SLIMBRAIN_* variable.
std::vector<std::string> apply_environment(const std::vector<Field>& fields, Origins& origins);

/// The science fields of one section, for the configuration hash.
nlohmann::json science_of(const std::vector<Field>& fields, const std::string& section);

}  // namespace slim::pipelines
