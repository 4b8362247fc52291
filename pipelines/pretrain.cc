// SPDX-License-Identifier: Apache-2.0
#include "pipelines/pretrain.h"

#include <algorithm>

#include "core/error.h"
#include "core/version.h"
#include "model/device/device.h"
#include "pipelines/atlas.h"
#include "pipelines/clip_rows.h"
#include "pipelines/loaded_model.h"
#include "pipelines/pretrain_cohort.h"
#include "pipelines/pretrain_model.h"
#include "pipelines/pretrain_stage1.h"
#include "train/schedule.h"
#include "train/trainer.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// What a preset settles unless a flag says otherwise.
struct Recipe {
  int64_t epochs, clips_per_step, warmup_epochs, log_every, patience;
  double rate, floor, ema;
  std::string clips;
};

Recipe recipe_of(const TrainOptions& train) {
  Recipe recipe = train.preset == "base" ? Recipe{.epochs = 40,
                                                  .clips_per_step = 32,
                                                  .warmup_epochs = 5,
                                                  .log_every = 10,
                                                  .patience = 100,
                                                  .rate = 2e-4,
                                                  .floor = 1e-6,
                                                  .ema = 0.996,
                                                  .clips = "selected"}
                                         : Recipe{.epochs = 6,
                                                  .clips_per_step = 2,
                                                  .warmup_epochs = 1,
                                                  .log_every = 1,
                                                  .patience = 20,
                                                  .rate = 1e-3,
                                                  .floor = 1e-5,
                                                  .ema = 0.95,
                                                  .clips = "mixed"};
  recipe.epochs = train.epochs.value_or(recipe.epochs);
  recipe.clips_per_step = train.clips_per_step.value_or(recipe.clips_per_step);
  recipe.rate = train::checked_rate(train.learning_rate.value_or(recipe.rate));
  if (!train.clips.empty()) {
    recipe.clips = train.clips;
  }
  return recipe;
}

/// Runs of a cohort for the trainer; `selected` holds a list of clips a run, or nothing.
train::TrainingRuns training_runs(const Cohort& cohort, const std::vector<size_t>& runs,
                                  std::vector<std::vector<clips::ClipFrames>> selected) {
  train::TrainingRuns out;
  for (size_t i = 0; i < runs.size(); ++i) {
    out.stores.push_back(cohort.store_path(runs[i]));
    out.runs.push_back({.n_frames = cohort.frames[runs[i]]});
    if (!selected.empty()) {
      out.runs.back().selected = std::move(selected[i]);
    }
  }
  return out;
}

train::TrainerOptions trainer_options(const GroupJob& job, const Cohort& cohort,
                                      const clips::RoiLabels& labels, bool cuda) {
  const TrainOptions& train = job.config.train;
  const Recipe recipe = recipe_of(train);
  const model::EncoderOptions encoder = model::encoder_preset(train.preset);
  const auto seed = static_cast<uint64_t>(train.seed);
  train::TrainerOptions options{
      .pretraining = {.objective = train::objective_from(train.objective),
                      .jepa = {.encoder = encoder,
                               .predictor = model::predictor_preset(train.preset),
                               .recompute = train.recompute},
                      .optimiser = {.groups = {.blocks = encoder.blocks()}},
                      .schedule = {.peak = recipe.rate, .floor = recipe.floor},
                      .ema = recipe.ema,
                      .verdict = {.width = encoder.width(), .patience = recipe.patience},
                      .seed = seed},
      .sampler = {.source = train::clip_source_from(recipe.clips),
                  .seed = seed,
                  .clips_per_step = recipe.clips_per_step},
      .epochs = recipe.epochs,
      .warmup_epochs = recipe.warmup_epochs,
      .clips_at_once = std::clamp<int64_t>(job.config.resources.batch_size.value_or(cuda ? 16 : 1), 1,
                                           recipe.clips_per_step),
      .log_every = recipe.log_every,
      .reader_threads = std::min(2, job.threads)};
  options.settings = {{"preset", train.preset},
                      {"epochs", std::to_string(recipe.epochs)},
                      {"objective", train.objective},
                      {"clips_per_step", std::to_string(recipe.clips_per_step)},
                      {"learning_rate", number_cell(recipe.rate)},
                      {"clips", recipe.clips},
                      {"ranker", std::string(clips::name_of(pretrain_ranker(job.config)))},
                      {"stage1_epochs", std::to_string(stage1_epochs(train))},
                      {"atlas", labels.sha256},
                      {"seed", std::to_string(train.seed)},
                      {"precision", job.config.resources.precision},
                      {"device", cuda ? "cuda" : "cpu"},
                      {"batch_size", std::to_string(options.clips_at_once)},
                      {"data", cohort.fingerprint},
                      {"version", std::string(kVersion)}};
  return options;
}

/// A model of that name that is there already stays, unless --force lets it go.
void refuse_existing(const GroupJob& job, const fs::path& folder, const std::string& name) {
  std::error_code ignored;
  if (fs::exists(folder, ignored) && !job.config.run.force) {
    throw Error(message::kCannotCreate, "There is a model of this name already.",
                {.file = folder.string(),
                 .found = name,
                 .remedy = "choose another --model-name, or --force to train it anew"});
  }
}

void remove_old(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) {
    throw Error(message::kInputOutput, "What was here before cannot be removed: " + error.message() + ".",
                {.file = folder.string()});
  }
}

/// What stage 2 learns from.
struct Prepared {
  PretrainedStage1 stage1;
  train::TrainingRuns training, validation;
};

/// Does stage 1 and chooses the windows. The matrices, which take memory, end here.
Prepared prepare(const GroupJob& job, Progress& progress, const Cohort& cohort,
                 const clips::RoiLabels& labels, train::ClipSource source, const fs::path& work,
                 at::Device device) {
  CohortMatrices matrices(job, progress, cohort, labels);
  Prepared out{.stage1 = pretrain_stage1(job, progress, cohort, labels, matrices, work, device),
               .training = {},
               .validation = {}};
  const auto runs_of = [&](evaluate::Role role) {
    const std::vector<size_t> runs = cohort.runs_of(role);
    if (source == train::ClipSource::Random) {
      return training_runs(cohort, runs, {});
    }
    return training_runs(cohort, runs,
                         ranked_cohort(job, progress, cohort, runs, matrices, out.stage1.ranking, work));
  };
  out.training = runs_of(evaluate::Role::Train);
  out.validation = runs_of(evaluate::Role::Validation);
  return out;
}

std::string name_for(const TrainOptions& train) {
  std::string name = train.model_name.empty() ? train.preset : train.model_name;
  if (model::model_label(name) != name || train.seed < 0 || stage1_epochs(train) < 0) {
    throw Error(
        message::kBadValue,
        "A model's name holds letters and digits only, and a seed or a number of epochs is not negative.",
        {.found = name + ", " + std::to_string(train.seed) + ", " + std::to_string(stage1_epochs(train))});
  }
  return name;
}

void say_what(const GroupJob& job, const Cohort& cohort, const std::string& name,
              const train::TrainerOptions& options, const std::string& device) {
  const TrainOptions& train = job.config.train;
  const bool ranked = options.sampler.source != train::ClipSource::Random;
  job.log.say(Level::Normal,
              "pretrain: model " + name + " (" + train.preset + ", " + train.objective + ", clips " +
                  std::string(train::name_of(options.sampler.source)) +
                  (ranked ? " by " + std::string(clips::name_of(pretrain_ranker(job.config))) : "") +
                  ") learns from " + std::to_string(cohort.runs_of(evaluate::Role::Train).size()) +
                  " runs, is validated on " +
                  std::to_string(cohort.runs_of(evaluate::Role::Validation).size()) + "; on " + device);
}

}  // namespace

void run_pretrain(const GroupJob& job) {
  const std::string name = name_for(job.config.train);
  const fs::path folder = job.out_dir / "models" / ("model-" + name);
  refuse_existing(job, folder, name);
  const model::DeviceChoice choice = model::resolve_device(job.config.resources.device);
  const at::Device device(choice.name);
  const at::ScalarType type = precision_of(job.config.resources.precision, device);
  const clips::RoiLabels labels = atlases_of(job.config).front().labels;
  const Cohort cohort = cohort_of(job);
  const train::TrainerOptions options = trainer_options(job, cohort, labels, device.is_cuda());
  say_what(job, cohort, name, options, choice.name);
  model::settle_cpu(job.threads);
  // A model folder appears whole, so what a training writes on its way lies beside it until then.
  const fs::path work = job.out_dir / "models" / (".training-" + name);
  if (job.config.run.force) {  // now that nothing speaks against a new one
    remove_old(folder);
    remove_old(work);
  }
  Progress progress(job.log, job.progress, "pretrain");
  const Prepared prepared = prepare(job, progress, cohort, labels, options.sampler.source, work, device);
  const train::Trained trained =
      train::train(options, prepared.training, prepared.validation, work,
                   training_hooks(job, progress, "stage 2", "clips"), device, type);
  if (trained.verdict == train::Verdict::Narrow) {
    job.log.warn("the representation is narrow: see cosine, effective_rank and input_share in history.tsv");
  }
  write_pretrained(folder, {.job = job,
                            .cohort = cohort,
                            .labels = labels,
                            .stage1 = prepared.stage1,
                            .options = options,
                            .trained = trained,
                            .work = work});
  std::error_code ignored;
  fs::remove_all(work, ignored);
  job.log.say(Level::Normal,
              "pretrain: " + folder.string() + " after " + std::to_string(trained.steps) + " steps");
}

}  // namespace slim::pipelines
