// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <charconv>
#include <cmath>

#include "clips/clip_store.h"
#include "core/error.h"
#include "core/sha256.h"
#include "core/version.h"
#include "model/device/device.h"
#include "model/load_encoder.h"
#include "pipelines/clip_rows.h"
#include "pipelines/loaded_model.h"
#include "pipelines/pretrain_stage1.h"
#include "pipelines/tuning.h"
#include "train/finetune_trainer.h"
#include "train/schedule.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// What a preset settles unless a flag says otherwise.
struct Recipe {
  int64_t epochs = 30, clips_per_step, warmup_epochs = 2, log_every;
  double rate, floor = 1e-6;  // the head's rate is ten times as much
};

Recipe recipe_of(const TrainOptions& train, const std::string& preset) {
  Recipe recipe = preset == "base" ? Recipe{.clips_per_step = 32, .log_every = 10, .rate = 1e-5}
                                   : Recipe{.clips_per_step = 8, .log_every = 1, .rate = 1e-4};
  recipe.epochs = train.epochs.value_or(recipe.epochs);
  recipe.clips_per_step = train.clips_per_step.value_or(recipe.clips_per_step);
  recipe.rate = train::checked_rate(train.learning_rate.value_or(recipe.rate));
  return recipe;
}

/// "0-4,35-39" as the table of embeddings lists the frames of a clip. Error SB2003 when that is no clip.
clips::ClipFrames frames_from(const std::string& text, const StoredRun& run) {
  clips::ClipFrames frames;
  int64_t count = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    clips::Window window;
    const auto first = std::from_chars(at, end, window.first);
    const bool dash = first.ec == std::errc() && first.ptr < end && *first.ptr == '-';
    const auto last = dash ? std::from_chars(first.ptr + 1, end, window.last) : first;
    if (!dash || last.ec != std::errc() || window.last < window.first ||
        (last.ptr < end && *last.ptr != ',')) {
      count = -1;
      break;
    }
    frames.push_back({window.first, window.last + 1});
    count += window.last + 1 - window.first;
    at = last.ptr + (last.ptr < end ? 1 : 0);
  }
  if (count != kClipFrames) {
    throw Error(message::kBadTable, "An embedding's frames are no clip.",
                {.file = run.unit(), .found = text, .remedy = "embed the run anew with --force"});
  }
  return frames;
}

/// Mean and population SD of the training cases' numbers; 0 and 1 for classes.
void standardise(const TuningPlan& plan, model::HeadTarget& target) {
  if (!plan.target.classes.empty()) {
    return;
  }
  const std::vector<std::string> cases = cases_of(plan, evaluate::Role::Train);
  std::vector<double> values;
  for (const std::string& key : cases) {
    values.push_back(plan.target.value_of.at(key));
    target.mean += values.back() / static_cast<double>(cases.size());
  }
  target.sd = evaluate::training_sd(values);
}

/// The runs of a role with the clips that were embedded.
train::LabelledRuns labelled_runs(const TuningPlan& plan, evaluate::Role role,
                                  const model::HeadTarget& target) {
  train::LabelledRuns labelled;
  std::map<std::string, size_t> place;
  for (const std::string& key : cases_of(plan, role)) {
    place.emplace(key, labelled.truth.size());
    labelled.truth.push_back((plan.target.value_of.at(key) - target.mean) / target.sd);
  }
  const StoredRun* before = nullptr;
  for (size_t clip = 0; clip < plan.features.run_of.size(); ++clip) {
    const StoredRun& run = *plan.features.run_of[clip];
    const auto found = place.find(plan.target.case_of(run));
    if (found == place.end()) {
      continue;
    }
    if (&run != before) {  // clips of a run are neighbours
      labelled.clips.stores.push_back(run.root / run.store);
      labelled.clips.runs.push_back(
          {.n_frames = clips::ClipStore::open(labelled.clips.stores.back()).n_frames()});
      labelled.case_of.push_back(found->second);
      before = &run;
    }
    labelled.clips.runs.back().selected.push_back(frames_from(plan.features.frames[clip], run));
  }
  return labelled;
}

/// Everything that is learnt from: stores (the features are current, so their hash stands for them), frames,
/// values and roles.
std::string data_hash(const TuningPlan& plan) {
  Sha256 hash;
  for (size_t clip = 0; clip < plan.features.run_of.size(); ++clip) {
    const StoredRun& run = *plan.features.run_of[clip];
    hash.update(run.dataset + "/" + run.store + " " + plan.features.frames[clip] + "\n");
  }
  hash.update(std::as_bytes(std::span(plan.features.values)));
  for (const evaluate::SplitRow& row : plan.problem.splits.rows) {
    hash.update(row.key + " " + std::to_string(plan.target.value_of.at(row.key)) + " " +
                std::string(row.role ? evaluate::name_of(*row.role) : "none") + "\n");
  }
  return hash.hex();
}

/// n / (C n_c) over the training cases.
std::vector<double> balanced_weights(const train::LabelledRuns& training, size_t classes) {
  std::vector<double> counts(classes, 0.0);
  for (const double value : training.truth) {
    counts[static_cast<size_t>(value)] += 1;
  }
  std::vector<double> weights;
  for (const double count : counts) {
    weights.push_back(static_cast<double>(training.truth.size()) / (static_cast<double>(classes) * count));
  }
  return weights;
}

train::FinetuneOptions options_of(const GroupJob& job, const TuningPlan& plan,
                                  const train::LabelledRuns& training, bool cuda) {
  const TrainOptions& train = job.config.train;
  const Recipe recipe = recipe_of(train, plan.parent.config.encoder.preset);
  const size_t classes = plan.target.classes.size();
  train::FinetuneOptions options{
      .finetuning = {.classes = static_cast<int64_t>(classes),
                     .background = model::background_from(plan.features.background),
                     .recompute = train.recompute,
                     .schedule = {.peak = recipe.rate, .floor = recipe.floor},
                     .head_schedule = {.peak = 10 * recipe.rate, .floor = recipe.floor},
                     .seed = static_cast<uint64_t>(train.seed)},
      .clips_per_step = recipe.clips_per_step,
      .epochs = recipe.epochs,
      .warmup_epochs = recipe.warmup_epochs,
      .clips_at_once = std::clamp<int64_t>(job.config.resources.batch_size.value_or(cuda ? 16 : 1), 1,
                                           recipe.clips_per_step),
      .log_every = recipe.log_every,
      .reader_threads = std::min(2, job.threads)};
  if (job.config.evaluate.class_weight == "balanced" && classes > 0) {
    options.finetuning.class_weights = balanced_weights(training, classes);
  }
  options.settings = {{"parent", plan.parent.card.weights_sha256},
                      {"target", plan.target.column},
                      {"epochs", std::to_string(recipe.epochs)},
                      {"clips_per_step", std::to_string(recipe.clips_per_step)},
                      {"learning_rate", number_cell(recipe.rate)},
                      {"class_weight", job.config.evaluate.class_weight},
                      {"seed", std::to_string(train.seed)},
                      {"precision", job.config.resources.precision},
                      {"device", cuda ? "cuda" : "cpu"},
                      {"batch_size", std::to_string(options.clips_at_once)},
                      {"data", data_hash(plan)},
                      {"version", std::string(kVersion)}};
  return options;
}

TunedHead tuned_head(const train::Finetuned& tuned, const model::HeadTarget& target, int64_t epochs) {
  TunedHead head{.target = target, .weights = {}, .tuning = {}};
  for (const auto& [name, tensor] : tuned.weights) {
    head.weights[name] = model::values_of(tensor);
  }
  head.tuning.method = "finetune";
  head.tuning.epochs = epochs;
  head.tuning.best_epoch = tuned.best_epoch;
  head.tuning.metric = !tuned.score             ? "none"
                       : target.classes.empty() ? "validation_standardised_mse"
                                                : "validation_balanced_accuracy";
  head.tuning.score = tuned.score;
  return head;
}

}  // namespace

TunedHead tuned_encoder(const GroupJob& job, const TuningPlan& plan) {
  const model::DeviceChoice choice = model::resolve_device(job.config.resources.device);
  const at::Device device(choice.name);
  const at::ScalarType type = precision_of(job.config.resources.precision, device);
  model::HeadTarget target{.name = plan.target.label,
                           .column = plan.target.column,
                           .classes = plan.target.classes,
                           .units = plan.target.units};
  standardise(plan, target);
  const train::LabelledRuns training = labelled_runs(plan, evaluate::Role::Train, target);
  const train::LabelledRuns validation = labelled_runs(plan, evaluate::Role::Validation, target);
  if (validation.clips.runs.empty()) {
    job.log.warn("nobody is left to validate on: the last epoch is kept");
  }
  const train::FinetuneOptions options = options_of(job, plan, training, device.is_cuda());
  model::settle_cpu(job.threads);
  if (job.config.run.force) {
    std::error_code ignored;
    fs::remove_all(plan.work, ignored);
  }
  Progress progress(job.log, job.progress, "finetune");
  const train::Finetuned tuned =
      train::finetune(options, model::load_encoder(plan.parent), training, validation, plan.work,
                      training_hooks(job, progress, "finetune", "clips"), device, type);
  job.log.say(Level::Normal, "finetune: epoch " + std::to_string(tuned.best_epoch) + " of " +
                                 std::to_string(options.epochs) + " is kept");
  return tuned_head(tuned, target, options.epochs);
}

}  // namespace slim::pipelines
