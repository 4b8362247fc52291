// SPDX-License-Identifier: Apache-2.0
#include "pipelines/participant.h"

#include <tbb/global_control.h>

#include <algorithm>
#include <cstdio>

#include "bids/filter.h"
#include "core/error.h"
#include "core/version.h"
#include "image/nifti_io.h"
#include "pipelines/lock.h"
#include "pipelines/model_choice.h"
#include "pipelines/prep.h"
#include "pipelines/resources.h"
#include "pipelines/saliency.h"
#include "pipelines/stages.h"
#include "pipelines/stop_signal.h"
#include "preproc/lattice.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

bids::HeaderFacts facts_of_header(const fs::path& image) {
  const image::NiftiHeader header = image::read_header(image);
  bids::HeaderFacts facts;
  facts.frames = header.is_four_d ? header.frames : 1;
  facts.voxel_volume_mm3 = std::abs(image::determinant(header.grid.scanner_from_voxel));
  facts.is_slim_lattice = header.has_orientation && preproc::same_lattice(header.grid).has_value();
  return facts;
}

/// Values that can be judged without looking at the data. Error SB1002.
void check_settings(const Config& config) {
  preproc::check_options(config.prep);
  check_saliency(config.saliency);
  const ResourceOptions& resources = config.resources;
  for (const auto& [flag, value] :
       {std::pair("--nprocs", resources.nprocs), std::pair("--runs-at-once", resources.runs_at_once),
        std::pair("--batch-size", resources.batch_size)}) {
    if (value.value_or(1) < 1) {
      throw Error(message::kBadValue,
                  std::string(flag) + " " + std::to_string(*value) + " is not valid: expected at least 1.");
    }
  }
  if (config.input.repetition_time.value_or(1.0) <= 0.0) {
    throw Error(message::kBadValue, "--repetition-time is not valid: expected a positive number of seconds.");
  }
}

bids::RunRequest request_of(const ParticipantCall& call, int threads) {
  const Config& config = call.config;
  bids::RunRequest request;
  request.bids_dir = call.bids_dir;
  for (const std::string& text : config.input.derivatives) {
    request.derivatives.push_back(bids::parse_named_path(text));
  }
  request.input_type = bids::parse_input_type(config.input.input_type);
  request.image = {config.input.space, config.input.res, config.input.desc};
  request.selection = {.participants = config.select.participant_label,
                       .exclude = config.select.exclude_participant_label,
                       .sessions = config.select.session_label,
                       .tasks = config.select.task_label,
                       .runs = config.select.run_label,
                       .filters = config.select.filter,
                       .bids_filter_file = config.select.bids_filter_file};
  request.read_header = facts_of_header;
  request.threads = threads;
  return request;
}

nlohmann::json inputs_fact(const bids::RunSearch& search) {
  nlohmann::json fact{{"runs", nlohmann::json::array()}, {"excluded", nlohmann::json::array()}};
  for (const bids::BoldRun& run : search.runs) {
    fact["runs"].push_back({{"unit", unit_name(run.name)}, {"image", run.image_uri}, {"why", run.choice}});
  }
  for (const bids::RunSearch::Excluded& excluded : search.excluded) {
    fact["excluded"].push_back({{"path", excluded.path}, {"reason", excluded.reason}});
  }
  for (const bids::SearchedPlace& place : search.inputs.searched) {
    fact["searched"].push_back({{"path", place.path.string()}, {"verdict", place.verdict}});
  }
  return fact;
}

nlohmann::json config_fact(const std::vector<Field>& fields, const Origins& origins) {
  nlohmann::json config = fields_to_json(fields);
  config.erase("run");
  return {{"config", std::move(config)}, {"origins", origins}};
}

bool has_stage(const std::vector<const StageEntry*>& stages, std::string_view name) {
  return std::any_of(stages.begin(), stages.end(),
                     [&](const StageEntry* stage) { return stage->name == name; });
}

/// The stages of the call and the device that they use. Without --stages a model that predicts something is
/// also asked to, and to say why.
struct Plan {
  std::vector<const StageEntry*> stages;
  std::string device = "cpu";
};

Plan plan_of(const Config& config, const fs::path& out_dir, Log& log) {
  Plan plan{.stages = chosen_stages(config.run.stages)};
  const bool predicts = has_stage(plan.stages, "predict") || has_stage(plan.stages, "saliency");
  const bool needs_model = predicts || has_stage(plan.stages, "embed");
  if (!needs_model || (config.run.dry_run && config.embed.model.empty())) {
    return plan;
  }
  const CheckedModel model = check_model(config, out_dir, predicts, log);
  plan.device = model.device;
  if (config.run.stages.empty() && model.predicts) {
    plan.stages = chosen_stages({"prep", "embed", "predict", "saliency"});
  }
  return plan;
}

/// The stages with prep before them.
std::vector<const StageEntry*> with_prep(const std::vector<const StageEntry*>& stages) {
  std::vector<std::string> names{"prep"};
  for (const StageEntry* stage : stages) {
    names.emplace_back(stage->name);
  }
  return chosen_stages(names);
}

bool lacks_clip_store(const std::vector<bids::BoldRun>& runs, const fs::path& out_dir) {
  return std::any_of(runs.begin(), runs.end(), [&](const bids::BoldRun& run) {
    return !fs::exists(out_dir / bids::DerivativeDataset::relative_path(clip_store_name(run)));
  });
}

/// What --dry-run says; standard output.
void print_plan(const ParticipantCall& call, const bids::RunSearch& search, const std::vector<Field>& fields,
                const std::vector<const StageEntry*>& chosen, const Limit& threads, const Limit& memory) {
  std::string text = "output: " + fs::absolute(call.out_dir).lexically_normal().string() + "\n";
  for (const bids::SearchedPlace& place : search.inputs.searched) {
    text += "searched: " + place.path.string() + ": " + place.verdict + "\n";
  }
  text += "selection:\n" + bids::funnel_text(search.funnel);
  for (const bids::BoldRun& run : search.runs) {
    text += "run: " + unit_name(run.name) + "\n  image: " + run.image_uri + "\n  why: " + run.choice + "\n";
  }
  for (const bids::RunSearch::Failed& failed : search.failed) {
    text += "unusable: " + failed.path + ": " + failed.error.sentence() + "\n";
  }
  for (const bids::RunSearch::Excluded& excluded : search.excluded) {
    text += "left out: " + excluded.path + ": " + excluded.reason + "\n";
  }
  text += "stages:";
  for (const StageEntry* stage : chosen) {
    text += " " + std::string(stage->name);
  }
  text += "\nthreads: " + std::to_string(threads.value) + " (" + threads.source +
          ")\nmemory: " + format_bytes(memory.value) + " (" + memory.source + ")\n";
  int64_t largest = 0;
  for (const bids::BoldRun& run : search.runs) {
    largest = std::max(largest, memory_for(run, call.config));
  }
  text += "memory of the largest run: " + format_bytes(largest) + "\n";
  for (const Field& field : fields) {
    const auto origin = call.origins.find(field.path);
    if (origin != call.origins.end()) {
      text += "setting: " + field.path + " = " + field.get().dump() + " (" + origin->second + ")\n";
    }
  }
  std::fputs(text.c_str(), stdout);
}

}  // namespace

std::string settings_text(const std::vector<Field>& fields, const Origins& origins) {
  std::string text;
  for (const Field& field : fields) {
    const auto origin = origins.find(field.path);
    text += field.path + " = " + field.get().dump() + "  (" +
            (origin == origins.end() ? "default" : origin->second) + ")\n";
  }
  return text;
}

int run_participant(ParticipantCall call, Log& log) {
  const std::vector<Field> fields = config_fields(call.config);
  if (call.config.run.print_config) {
    std::fputs(settings_text(fields, call.origins).c_str(), stdout);
    return 0;
  }
  check_settings(call.config);
  const ProgressStyle progress =
      progress_style(call.config.report.progress, log.json() || log.level() == Level::Quiet);
  Limit threads = detect_threads();
  if (call.config.resources.nprocs) {
    threads = {*call.config.resources.nprocs, "--nprocs"};
  }
  Limit memory = detect_memory();
  if (!call.config.resources.mem.empty()) {
    const int64_t asked = parse_size(call.config.resources.mem, "--mem");
    if (asked < memory.value) {
      memory = {asked, "--mem"};
    }
  }
  bids::check_output_place(call.bids_dir, call.out_dir);
  auto [chosen, device] = plan_of(call.config, call.out_dir, log);
  const bids::RunSearch search = bids::find_bold_runs(request_of(call, static_cast<int>(threads.value)));
  for (const std::string& warning : search.warnings) {
    log.warn(warning);
  }
  if (call.config.run.dry_run) {
    print_plan(call, search, fields, chosen, threads, memory);
    return 0;
  }
  check_memory(search.runs, call.config, memory);
  if (chosen.front()->name != "prep" && lacks_clip_store(search.runs, call.out_dir)) {
    log.say(Level::Normal, "some runs have no clip store yet: stage prep is done first");
    chosen = with_prep(chosen);
  }

  bids::DatasetFacts facts = bids::facts_from_inputs(search.inputs);
  facts.program_version = kVersion;
  if (chosen.front()->name == "prep") {
    facts.configuration_hash = prep_hash(call.config, fields);
  }
  const bids::DerivativeDataset output = bids::DerivativeDataset::open(
      call.out_dir, facts,
      {.exclusively =
           [&](const std::function<void()>& work) {
             const ParticipantLock lock = ParticipantLock::wait(call.out_dir, "dataset");
             work();
           },
       .replace_configuration = call.config.run.force});
  for (const std::string& warning : output.warnings()) {
    log.warn(warning);
  }
  nlohmann::json record_facts = config_fact(fields, call.origins);
  record_facts["argv"] = call.argv;
  record_facts["inputs"] = inputs_fact(search);
  record_facts["threads"] = {{"value", threads.value}, {"source", threads.source}};
  record_facts["memory"] = {{"value", memory.value}, {"source", memory.source}};
  record_facts["device"] = device;
  RunRecord record(call.out_dir, std::move(record_facts));
  log.open_files(record.stem());
  log.say(Level::Normal, "output: " + fs::absolute(call.out_dir).lexically_normal().string());
  for (const bids::RunSearch::Failed& failed : search.failed) {
    log.error(failed.error.within(failed.path));
    record.add({.stage = std::string(chosen.front()->name),
                .unit = unit_name(failed.name),
                .outcome = Outcome::Failed,
                .reason = failed.error.sentence(),
                .code = std::string(failed.error.code()),
                .fault = failed.error.fault()});
  }

  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                  static_cast<size_t>(threads.value));
  const std::atomic<bool>& stop = watch_stop_signals();
  const Job job{
      call.config,  fields, search.runs, output, log, record, progress, stop, static_cast<int>(threads.value),
      memory.value, device};
  for (const StageEntry* stage : chosen) {
    if (!stop) {
      stage->run(job);
    }
  }
  if (stop) {
    log.error(Error(message::kStopped,
                    std::string("Stopped by ") + stop_signal_name() + "; everything finished is committed.",
                    {.remedy = "run the same call again: it continues"}));
  }
  std::printf("%s\n", record.close(stop).c_str());
  return record.exit_code(stop);
}

}  // namespace slim::pipelines
