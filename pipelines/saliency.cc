// SPDX-License-Identifier: Apache-2.0
#include "pipelines/saliency.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bids/tsv.h"
#include "clips/average_brain.h"
#include "core/error.h"
#include "core/sha256.h"
#include "core/token_set.h"
#include "model/checkpoint/model_tool.h"
#include "model/device/device.h"
#include "pipelines/attribute_run.h"
#include "pipelines/embed.h"
#include "pipelines/model_history.h"
#include "pipelines/predict.h"
#include "pipelines/saliency_files.h"
#include "pipelines/sidecar.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::pipelines {
namespace {

/// Raised when the numbers of this stage change, so that older results become stale.
constexpr int kSaliencyEpoch = 3;
/// A map that is this much like those of random weights does not depend on the model.
constexpr double kTooAlike = 0.9;

/// What the call asks for, the same for every run.
struct Request {
  const SaliencyOptions& options;
  Head head;
  ModelHistory history;
  std::vector<Atlas> atlases;
  AttributionSettings settings;
  std::optional<int64_t> named_class;
  std::string baseline = "0, the mean of the z-scores";

  bool source_too() const {
    const std::vector<std::string>& spaces = options.saliency_spaces;
    return std::find(spaces.begin(), spaces.end(), "source") != spaces.end();
  }
  /// With more than two classes the one that is predicted for the participant is explained.
  bool asks_for_prediction() const { return head.target.classes.size() > 2 && !named_class; }
};

Request request_of(const Config& config, const LoadedModel& model) {
  Request request{.options = config.saliency,
                  .head = head_of(model.folder),
                  .history = model_history(model.folder),
                  .atlases = atlases_of(config),
                  .settings = {},
                  .named_class = {}};
  request.named_class = class_named(request.head.target, config.saliency.saliency_class);
  const std::optional<int64_t>& steps = config.saliency.saliency_steps;
  request.settings.path = config.saliency.saliency_method == "intgrad";
  request.settings.steps = steps.value_or(model.folder.config.encoder.preset == "tiny" ? 12 : 32);
  if (steps) {  // whoever names a number means it
    request.settings.most_steps = *steps;
  }
  request.settings.most_clips = config.saliency.saliency_clips;
  if (std::optional<clips::AverageBrain> average = baseline_of(config.saliency, model.folder);
      average && request.settings.path) {
    request.baseline =
        "the average of the runs that the head learnt from (" + std::to_string(average->runs) + ")";
    request.settings.baseline = std::move(average->values);
  }
  return request;
}

std::vector<const bids::BoldRun*> runs_of_participant(const Job& job, const std::string& participant) {
  std::vector<const bids::BoldRun*> runs;
  for (const bids::BoldRun& run : job.runs) {
    if (run.participant == participant && fs::exists(job.output.path_of(clip_store_name(run)))) {
      runs.push_back(&run);
    }
  }
  return runs;
}

/// The class that is predicted from all clips of the participant's runs.
int64_t predicted_class(const Job& job, const std::string& participant, const LoadedModel& model,
                        const Head& head) {
  std::vector<double> outputs;
  for (const bids::BoldRun* run : runs_of_participant(job, participant)) {
    const RunClips clips = run_clips(job, *run, model);
    const std::vector<double> more =
        head.outputs(features_of_run(job, *run, model, clips, [](int64_t, int64_t) {}));
    outputs.insert(outputs.end(), more.begin(), more.end());
  }
  return static_cast<int64_t>(head.aggregate(outputs).prediction);
}

json fingerprints_of(const Job& job, const bids::BoldRun& run, const Request& request) {
  json prints = store_fingerprint(job, run);
  if (request.asks_for_prediction()) {
    for (const bids::BoldRun* other : runs_of_participant(job, run.participant)) {
      prints.update(store_fingerprint(job, *other));
    }
  }
  return prints;
}

std::string hash_of(const Job& job, const LoadedModel& model, const Request& request) {
  json settings = model_settings(job, model);
  json atlases = json::array();
  for (const Atlas& atlas : request.atlases) {
    atlases.push_back({atlas.labels.name, atlas.labels.sha256, atlas.names});
  }
  settings.update({{"stage", "saliency"},
                   {"epoch", kSaliencyEpoch},
                   {"target", target_facts(request.head.target)},
                   {"method", request.options.saliency_method},
                   {"steps", {request.settings.steps, request.settings.most_steps}},
                   {"clips", request.settings.most_clips},
                   {"baseline", sha256_hex(std::as_bytes(std::span(request.settings.baseline)))},
                   {"class", request.options.saliency_class},
                   {"source", request.source_too()},
                   {"sanity", request.options.saliency_sanity},
                   {"atlases", atlases}});
  return configuration_hash(settings);
}

/// Score of each window of a clip in the run's table of windows; empty where windows have none.
std::vector<json> window_scores(const Job& job, const bids::BoldRun& run, const LoadedModel& model,
                                const clips::ClipFrames& windows) {
  if (!clips::has_scores(model.ranking.options.ranker)) {
    return {};
  }
  const bids::Table table = bids::read_tsv(job.output.path_of(windows_name(run, model.ranking.model)));
  std::vector<json> scores;
  for (const clips::Window& window : windows) {
    scores.emplace_back(nullptr);
    for (size_t row = 0; row < table.rows.size(); ++row) {
      const std::string* first = table.cell(row, "frame_start");
      const std::string* score = table.cell(row, "score");
      if (first != nullptr && score != nullptr && *first == std::to_string(window.first)) {
        const std::optional<double> value = bids::to_number(*score);
        scores.back() = value ? json(*value) : json(nullptr);
      }
    }
  }
  return scores;
}

std::string verdict_of(double residual) {
  return residual <= kComplete ? "complete" : residual <= kApproximate ? "approximate" : "incomplete";
}

json clips_fact(const Job& job, const bids::BoldRun& run, const LoadedModel& model, const Request& request,
                const RunClips& clips, const RunAttribution& found) {
  json list = json::array();
  for (const ClipShare& share : found.clips) {
    const clips::ClipFrames& frames = clips.chosen[share.clip];
    json item{{"Clip", share.clip},      {"Frames", clips::describe(frames)},
              {"F", share.at_clip},      {"FAtBaseline", share.at_baseline},
              {"SumA", share.sum},       {"SumAbsA", share.sum_abs},
              {"Windows", json::array()}};
    if (request.settings.path) {
      item.update(
          {{"Steps", share.steps}, {"Residual", share.residual}, {"Verdict", verdict_of(share.residual)}});
    }
    const std::vector<json> scores = window_scores(job, run, model, frames);
    for (size_t w = 0; w < frames.size(); ++w) {
      json window{{"Frames", clips::describe({frames[w]})},
                  {"SumA", share.window_sums[w]},
                  {"SumAbsA", share.window_abs_sums[w]}};
      if (!scores.empty()) {
        window["Score"] = scores[w];
      }
      item["Windows"].push_back(std::move(window));
    }
    list.push_back(std::move(item));
  }
  return list;
}

/// Sentences that whoever sees the map must see too.
std::vector<std::string> banners_of(const LoadedModel& model, const Request& request,
                                    const RunAttribution& found, const std::vector<SanityStep>& sanity) {
  std::vector<std::string> banners;
  const std::string note = model::untrained_note(model.folder.card);
  if (!note.empty()) {
    banners.push_back(note);
  }
  if (request.settings.path && verdict_of(found.worst_residual) == "incomplete") {
    banners.push_back("INCOMPLETE: the parts miss the whole by " +
                      number_cell(std::round(100.0 * found.worst_residual)) + " percent.");
  }
  if (!sanity.empty() && sanity.back().correlation > kTooAlike) {
    banners.push_back("NOT SPECIFIC: the map hardly changes when all weights are drawn anew.");
  }
  return banners;
}

json saliency_fact(const Job& job, const bids::BoldRun& run, const LoadedModel& model, const Request& request,
                   const RunClips& clips, const Explained& explained, const RunAttribution& found,
                   const std::vector<SanityStep>& sanity) {
  json fact{{"Clips", clips_fact(job, run, model, request, clips, found)},
            {"Split", request.history.split_of(own_key(run.participant))}};
  if (!explained.class_name.empty()) {
    fact["Class"] = explained.class_name;
  }
  if (request.settings.path) {
    fact["Verdict"] = verdict_of(found.worst_residual);
    fact["Baseline"] = request.baseline;
  }
  for (const SanityStep& step : sanity) {
    fact["Sanity"].push_back({{"Randomised", step.randomised}, {"Spearman", step.correlation}});
  }
  return fact;
}

void tell(const Job& job, const bids::BoldRun& run, const LoadedModel& model,
          const std::vector<std::string>& banners, const std::vector<SanityStep>& sanity) {
  for (const SanityStep& step : sanity) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", step.correlation);
    job.log.say(Level::Normal, unit_name(run.name) + ": with random " + step.randomised +
                                   " the map correlates " + text + " with the model's");
  }
  for (const std::string& banner : banners) {
    if (banner != model::untrained_note(model.folder.card)) {  // the call has said that
      job.log.warn(unit_name(run.name) + ": " + banner);
    }
  }
}

std::string words_of(const Request& request, const RunAttribution& found) {
  std::string words = std::to_string(found.clips.size()) + (found.clips.size() == 1 ? " clip" : " clips");
  if (request.settings.path) {
    char text[64];
    std::snprintf(text, sizeof text, ", residual %.3f, ", found.worst_residual);
    words += text + verdict_of(found.worst_residual);
  }
  return words;
}

UnitReport saliency_run(const Job& job, const bids::BoldRun& run, const LoadedModel& model,
                        const Request& request, const Taken& progress) {
  const std::string hash = hash_of(job, model, request);
  const json fingerprints = fingerprints_of(job, run, request);
  const bids::BidsName primary =
      saliency_name(run, request.options.saliency_method, request.head.target.name);
  if (!job.config.run.force && is_current(job, primary, hash, fingerprints)) {
    return {Outcome::UpToDate};
  }
  job.output.remove_stale_partials(run.participant);
  const RunClips clips = run_clips(job, run, model);
  const Explained explained = explained_by(
      request.head, request.asks_for_prediction()
                        ? predicted_class(job, run.participant, model, request.head)
                        : request.named_class.value_or(1));  // of two classes: one sign for everybody
  SaliencyMap map{.run = run,
                  .method = request.options.saliency_method,
                  .baseline = request.baseline,
                  .target = request.head.target,
                  .explained = explained,
                  .values = {},
                  .valid = clips.store.valid(),
                  .banners = {},
                  .block = {}};
  const RunAttribution found = attribute_run(model, explained, clips, request.settings, job.stop, progress);
  std::vector<SanityStep> sanity;
  if (request.options.saliency_sanity) {
    sanity = sanity_of(model, found, clips, request.settings, job.stop, progress);
  }
  map.values = found.map;
  map.banners = banners_of(model, request, found, sanity);
  tell(job, run, model, map.banners, sanity);
  json facts = model_facts(job, model, clips.store);
  facts["Saliency"] = saliency_fact(job, run, model, request, clips, explained, found, sanity);
  map.block = slimbrain_block({.stage = "saliency",
                               .epoch = kSaliencyEpoch,
                               .hash = hash,
                               .parent_hash = clips.store.get("configuration_hash"),
                               .fingerprints = fingerprints,
                               .more = facts});
  job.output.commit_unit(saliency_files(map, request.atlases, request.source_too()));
  return {Outcome::Done, words_of(request, found)};
}

}  // namespace

void check_saliency(const SaliencyOptions& options) {
  const auto refuse = [](const std::string& flag, const std::string& found, const std::string& expected) {
    throw Error(message::kBadValue, flag + " " + found + " is not valid: expected " + expected + ".");
  };
  if (options.saliency_method != "intgrad" && options.saliency_method != "gradxinput") {
    refuse("--saliency-method", options.saliency_method, "intgrad or gradxinput");
  }
  if (!options.saliency_baseline.empty() && options.saliency_baseline != "average" &&
      options.saliency_baseline != "zero") {
    refuse("--saliency-baseline", options.saliency_baseline, "average or zero");
  }
  for (const std::string& space : options.saliency_spaces) {
    if (space != "slim" && space != "source") {
      refuse("--saliency-spaces", space, "slim or source");
    }
  }
  if (options.saliency_steps.value_or(1) < 1) {
    refuse("--saliency-steps", std::to_string(*options.saliency_steps), "at least 1");
  }
  if (options.saliency_clips < 1) {
    refuse("--saliency-clips", std::to_string(options.saliency_clips), "at least 1");
  }
}

std::optional<clips::AverageBrain> baseline_of(const SaliencyOptions& options,
                                               const model::ModelFolder& model) {
  const fs::path file = model.path / clips::kAverageBrainFile;
  if (options.saliency_baseline == "zero" || (options.saliency_baseline.empty() && !fs::exists(file))) {
    return std::nullopt;
  }
  if (!fs::exists(file)) {
    throw Error(
        message::kUnfitModel, "The model carries no average of the runs that its head learnt from.",
        {.file = file.string(), .remedy = "--saliency-baseline zero, or make the head with finetune"});
  }
  return clips::read_average_brain(file, packaged_token_set().size() * kTokenVoxels);
}

void run_saliency(const Job& job) {
  model::settle_cpu(job.threads);
  LoadedModel model = load_model(job.config, job.output.root(), job.device);
  const Request request = request_of(job.config, model);
  for_each_run_of_model(job, "saliency", model, [&](const bids::BoldRun& run, const auto& progress) {
    return saliency_run(job, run, model, request, progress);
  });
}

}  // namespace slim::pipelines
