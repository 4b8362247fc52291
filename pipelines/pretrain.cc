// SPDX-License-Identifier: Apache-2.0
#include "pipelines/pretrain.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "bids/fingerprint.h"
#include "clips/clip_store.h"
#include "clips/ranking.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/sha256.h"
#include "core/slim_grid.h"
#include "core/version.h"
#include "evaluate/splits_table.h"
#include "model/checkpoint/model_folder.h"
#include "model/device/device.h"
#include "pipelines/progress.h"
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
  if (!train.clips.empty()) {
    recipe.clips = train.clips;
  }
  return recipe;
}

/// The group's clip stores, as far as one model can learn from them.
struct Cohort {
  std::vector<const StoredRun*> runs{};
  std::vector<int64_t> frames{};
  std::set<std::string> zscores{}, families{}, repetition_times{};
  std::string fingerprint{};  // SHA-256 over names and contents
  evaluate::Splits splits{};

  evaluate::Role role_of(const StoredRun& run) const {
    const std::string key = key_of(run);
    return *std::find_if(splits.rows.begin(), splits.rows.end(), [&](const auto& row) {
              return row.key == key;
            })->role;
  }
  static std::string key_of(const StoredRun& run) { return run.dataset + "/" + run.cell("sub"); }
};

void check_one(const std::set<std::string>& values, const std::string& what) {
  if (values.size() > 1) {
    throw Error(message::kUnfitModel, "The clip stores are of more than one " + what + ".",
                {.found = *values.begin() + ", " + *values.rbegin(),
                 .remedy = "slimbrain - OUT_DIR group --stages index names them"});
  }
}

Cohort cohort_of(const GroupJob& job) {
  Cohort cohort;
  std::set<std::string> keys;
  std::string prints;
  for (const StoredRun& run : job.runs) {
    if (run.store.empty()) {
      continue;
    }
    const clips::ClipStore store = clips::ClipStore::open(run.root / run.store);
    if (store.n_frames() < kClipFrames) {
      job.log.warn(run.unit() + " is left out: it has " + std::to_string(store.n_frames()) +
                   " frames, and a clip needs " + std::to_string(kClipFrames));
      continue;
    }
    cohort.runs.push_back(&run);
    cohort.frames.push_back(store.n_frames());
    cohort.zscores.insert(store.get("zscore"));
    cohort.families.insert(store.get("template_family"));
    cohort.repetition_times.insert(store.get("repetition_time_s"));
    keys.insert(Cohort::key_of(run));
    prints += run.dataset + "/" + run.store + " " + bids::input_fingerprint(run.root / run.store) + "\n";
  }
  check_one(cohort.zscores, "z-score scope");
  check_one(cohort.families, "template family");
  cohort.fingerprint = sha256_hex(prints);
  std::vector<evaluate::SplitItem> items;
  for (const std::string& key : keys) {
    items.push_back({.key = key});
  }
  cohort.splits = evaluate::hold_out(items, static_cast<uint64_t>(job.config.train.seed));
  const auto learnt = std::count_if(cohort.splits.rows.begin(), cohort.splits.rows.end(),
                                    [](const auto& row) { return row.role == evaluate::Role::Train; });
  if (learnt < 2) {
    throw Error(message::kEmptySelection, "Pre-training needs at least 2 participants to learn from.",
                {.found = std::to_string(keys.size()) + " participants with clip stores of at least " +
                          std::to_string(kClipFrames) + " frames, " + std::to_string(learnt) +
                          " of them to learn from",
                 .remedy = "prepare more participants, or add output folders with -d NAME=PATH"});
  }
  return cohort;
}

train::TrainingRuns runs_of(const Cohort& cohort, evaluate::Role role, train::ClipSource source) {
  train::TrainingRuns out;
  for (size_t i = 0; i < cohort.runs.size(); ++i) {
    const StoredRun& run = *cohort.runs[i];
    if (cohort.role_of(run) != role) {
      continue;
    }
    out.stores.push_back(run.root / run.store);
    train::SampledRun sampled{.n_frames = cohort.frames[i]};
    if (source != train::ClipSource::Random) {
      sampled.selected =
          clips::clips_of(clips::rank_pieces(cohort.frames[i], {.ranker = clips::Ranker::Uniform}));
    }
    out.runs.push_back(std::move(sampled));
  }
  return out;
}

train::TrainerOptions trainer_options(const GroupJob& job, const Cohort& cohort, bool cuda) {
  const TrainOptions& train = job.config.train;
  const Recipe recipe = recipe_of(train);
  const model::EncoderOptions encoder = model::encoder_preset(train.preset);
  const auto seed = static_cast<uint64_t>(train.seed);
  train::TrainerOptions options{
      .pretraining = {.objective = train::objective_from(train.objective),
                      .jepa = {.encoder = encoder, .predictor = model::predictor_preset(train.preset)},
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
      .clips_at_once = std::max<int64_t>(1, job.config.resources.batch_size.value_or(cuda ? 16 : 1)),
      .log_every = recipe.log_every,
      .reader_threads = std::min(2, job.threads)};
  options.settings = {{"preset", train.preset},
                      {"epochs", std::to_string(recipe.epochs)},
                      {"objective", train.objective},
                      {"clips_per_step", std::to_string(recipe.clips_per_step)},
                      {"clips", recipe.clips},
                      {"seed", std::to_string(train.seed)},
                      {"precision", job.config.resources.precision},
                      {"data", cohort.fingerprint},
                      {"version", std::string(kVersion)}};
  return options;
}

std::vector<float> values_of(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  const float* first = values.const_data_ptr<float>();
  return {first, first + values.numel()};
}

void publish(const GroupJob& job, const fs::path& folder, const fs::path& work, const Cohort& cohort,
             const train::TrainerOptions& options, const train::Trained& trained, int64_t runs) {
  const TrainOptions& train = job.config.train;
  const bool jepa = options.pretraining.objective == train::Objective::Jepa;
  model::PredictorShape predictor = options.pretraining.jepa.predictor.shape();
  if (!jepa) {
    predictor.output = model::mae_output(options.pretraining.mae_frames);
  }
  const model::ModelConfig config{
      .encoder = options.pretraining.jepa.encoder,
      .fusion = options.pretraining.jepa.fusion,
      .predictor = predictor,
      .head_outputs = {},
      .objective = train.objective,
      .background = "token",
      .grid = kSlimGridName,
      .token_mask_sha256 = packaged_token_set().mask_sha256,
      .zscore = *cohort.zscores.begin(),
      .repetition_time_s = cohort.repetition_times.size() == 1
                               ? std::optional(std::stod(*cohort.repetition_times.begin()))
                               : std::nullopt};
  std::set<std::string> datasets;
  for (const StoredRun* run : cohort.runs) {
    datasets.insert(run->dataset);
  }
  const auto participants = std::count_if(cohort.splits.rows.begin(), cohort.splits.rows.end(),
                                          [](const auto& row) { return row.role == evaluate::Role::Train; });
  model::ModelCard card{
      .name = train.model_name.empty() ? train.preset : train.model_name,
      .trained = true,
      .made_by = "pretrain",
      .seed = options.sampler.seed,
      .training = model::ModelTraining{.objective = train.objective,
                                       .encoder = jepa ? "target" : "online",
                                       .datasets = {datasets.begin(), datasets.end()},
                                       .participants = participants,
                                       .runs = runs,
                                       .epochs = options.epochs,
                                       .steps = trained.steps,
                                       .clips = trained.samples,
                                       .clip_source = std::string(train::name_of(options.sampler.source)),
                                       .verdict = std::string(name_of(trained.verdict))}};
  std::vector<model::WeightSource> weights;
  for (const TensorSpec& spec : model::configured_tensors(config)) {
    weights.push_back({.spec = spec, .make = [&trained, name = spec.name] {
                         const auto found = trained.weights.find(name);
                         return found == trained.weights.end() ? std::vector<float>()
                                                               : values_of(found->second);
                       }});
  }
  model::write_model(folder, config, std::move(card), weights, [&](const fs::path& partial) {
    write_text(partial / "splits.tsv", evaluate::splits_tsv(std::span(&cohort.splits, 1)));
    for (const char* name :
         {"history.tsv", "history.json", "metrics.jsonl", "events.out.tfevents.slimbrain"}) {
      write_text(partial / name, read_text(work / name));
    }
  });
}

at::ScalarType precision_of(const std::string& word, const at::Device& device) {
  if (word == "fp32" || (word == "bf16" && device.is_cuda())) {
    return word == "fp32" ? at::kFloat : at::kBFloat16;
  }
  throw Error(message::kBadValue,
              "--precision " + word + " is not valid on " + device.str() + ": use fp32, or bf16 on CUDA.");
}

std::string status_of(const train::TrainingProgress& now) {
  char text[160];
  std::snprintf(text, sizeof text, "step %ld of %ld: loss %.4g, rate %.3g, %.0f s left",
                static_cast<long>(now.step), static_cast<long>(now.steps), now.loss, now.rate,
                now.seconds_left);
  return text;
}

/// Makes sure that a model of that name is not there, or not wanted any more.
void make_room(const GroupJob& job, const fs::path& folder, const std::string& name) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) {
    return;
  }
  if (job.config.run.force) {
    fs::remove_all(folder);
    return;
  }
  throw Error(message::kCannotCreate, "There is a model of this name already.",
              {.file = folder.string(),
               .found = name,
               .remedy = "choose another --model-name, or --force to train it anew"});
}

}  // namespace

void run_pretrain(const GroupJob& job) {
  const TrainOptions& train = job.config.train;
  const std::string name = train.model_name.empty() ? train.preset : train.model_name;
  if (model::model_label(name) != name || train.seed < 0) {
    throw Error(message::kBadValue,
                "A model's name holds letters and digits only, and a seed is not negative.",
                {.found = name + ", " + std::to_string(train.seed)});
  }
  const fs::path folder = job.out_dir / "models" / ("model-" + name);
  make_room(job, folder, name);
  const model::DeviceChoice choice = model::resolve_device(job.config.resources.device);
  const at::Device device(choice.name);
  const at::ScalarType type = precision_of(job.config.resources.precision, device);
  const Cohort cohort = cohort_of(job);
  const train::TrainerOptions options = trainer_options(job, cohort, device.is_cuda());
  const train::TrainingRuns training = runs_of(cohort, evaluate::Role::Train, options.sampler.source);
  const train::TrainingRuns validation = runs_of(cohort, evaluate::Role::Validation, options.sampler.source);
  job.log.say(Level::Normal, "pretrain: model " + name + " (" + train.preset + ", " + train.objective +
                                 ", clips " + std::string(train::name_of(options.sampler.source)) +
                                 ") learns from " + std::to_string(training.runs.size()) +
                                 " runs, is validated on " + std::to_string(validation.runs.size()) +
                                 "; on " + choice.name);
  at::set_num_threads(job.threads);
  // A model folder appears whole, so what a training writes on its way lies beside it until then.
  const fs::path work = job.out_dir / "models" / (".training-" + name);
  Progress progress(job.log, job.progress, "pretrain", options.epochs);
  const train::TrainerHooks hooks{
      .stop = job.stop,
      .on_step =
          [&](const train::TrainingProgress& now) {
            const std::string unit = "epoch " + std::to_string(now.epoch + 1);
            job.log.say(Level::Detail, status_of(now));
            progress.advance(unit, now.epoch_step, now.epoch_steps);
            if (now.epoch_step == now.epoch_steps) {
              progress.finish_unit(unit, status_of(now));
            }
          },
      .say = [&](const std::string& sentence) { job.log.say(Level::Normal, "pretrain: " + sentence); }};
  const train::Trained trained = train::train(options, training, validation, work, hooks, device, type);
  if (trained.verdict == train::Verdict::Narrow) {
    job.log.warn("the representation is narrow: see cosine, effective_rank and input_share in history.tsv");
  }
  publish(job, folder, work, cohort, options, trained, static_cast<int64_t>(training.runs.size()));
  std::error_code ignored;
  fs::remove_all(work, ignored);
  job.log.say(Level::Normal,
              "pretrain: " + folder.string() + " after " + std::to_string(trained.steps) + " steps");
}

}  // namespace slim::pipelines
