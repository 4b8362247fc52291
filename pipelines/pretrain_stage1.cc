// SPDX-License-Identifier: Apache-2.0
#include "pipelines/pretrain_stage1.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>

#include "bids/fingerprint.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/version.h"
#include "pipelines/windows_table.h"
#include "train/stage1_trainer.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Below this skill on unseen runs the network tells hardly more than the mean does.
constexpr double kLeastSkill = 0.02;

/// What a preset settles about stage 1.
struct Stage1Recipe {
  int64_t epochs, warmup_epochs, pieces_per_step, log_every;
  double rate, floor;
};

Stage1Recipe stage1_recipe(const TrainOptions& train) {
  return train.preset == "base" ? Stage1Recipe{.epochs = 100,
                                               .warmup_epochs = 10,
                                               .pieces_per_step = 64,
                                               .log_every = 10,
                                               .rate = 5e-4,
                                               .floor = 1e-6}
                                : Stage1Recipe{.epochs = 30,
                                               .warmup_epochs = 3,
                                               .pieces_per_step = 8,
                                               .log_every = 1,
                                               .rate = 1e-3,
                                               .floor = 1e-5};
}

train::Stage1TrainerOptions trainer_options(const GroupJob& job, const Cohort& cohort,
                                            const clips::RoiLabels& labels, const at::Device& device) {
  const TrainOptions& train = job.config.train;
  const Stage1Recipe recipe = stage1_recipe(train);
  const bool small = train.preset != "base";
  return {.stage1 = {.network = model::global_mae_preset(train.preset, labels.rows()),
                     .schedule = {.peak = recipe.rate, .floor = recipe.floor},
                     .seed = static_cast<uint64_t>(train.seed)},
          .epochs = stage1_epochs(train),
          .warmup_epochs = recipe.warmup_epochs,
          .pieces_per_step = recipe.pieces_per_step,
          // A piece of base takes some 150 MB of activations.
          .pieces_at_once = small || device.is_cuda() ? recipe.pieces_per_step : 4,
          .log_every = recipe.log_every,
          .settings = {{"preset", train.preset},
                       {"stage1_epochs", std::to_string(stage1_epochs(train))},
                       {"seed", std::to_string(train.seed)},
                       {"atlas", labels.sha256},
                       {"device", device.is_cuda() ? "cuda" : "cpu"},
                       {"data", cohort.fingerprint},
                       {"version", std::string(kVersion)}}};
}

train::Stage1Runs runs_of(const Cohort& cohort, evaluate::Role role, CohortMatrices& matrices) {
  const std::vector<size_t> numbers = cohort.runs_of(role);
  train::Stage1Runs runs;
  for (const size_t run : numbers) {
    runs.n_frames.push_back(cohort.frames[run]);
  }
  runs.matrix = [numbers, &matrices](size_t i) -> const clips::RoiMatrix& {
    return matrices.at(numbers.at(i));
  };
  return runs;
}

/// The tiny network is so small that threads wait for one another longer than they compute.
class ThreadsOf {
 public:
  explicit ThreadsOf(const TrainOptions& train) : before_(at::get_num_threads()) {
    if (train.preset != "base") {
      at::set_num_threads(1);
    }
  }
  ~ThreadsOf() { at::set_num_threads(before_); }
  ThreadsOf(const ThreadsOf&) = delete;
  ThreadsOf& operator=(const ThreadsOf&) = delete;

 private:
  int before_;
};

std::string status_of(const train::TrainingProgress& now, const std::string& things) {
  char text[160];
  // What matters least stands last: a bar is cut at the width of the screen.
  std::snprintf(text, sizeof text, "loss %.3g, %s left, %.2g %s/s, lr %.0e", now.loss,
                duration(now.seconds_left).c_str(), now.clips_per_s, things.c_str(), now.rate);
  return text;
}

train::Stage1Trained trained_stage1(const GroupJob& job, Progress& progress, const Cohort& cohort,
                                    const clips::RoiLabels& labels, CohortMatrices& matrices,
                                    const fs::path& work, at::Device device) {
  const train::Stage1TrainerOptions options = trainer_options(job, cohort, labels, device);
  const ThreadsOf threads(job.config.train);
  train::Stage1Trained trained =
      train::train_stage1(options, runs_of(cohort, evaluate::Role::Train, matrices),
                          runs_of(cohort, evaluate::Role::Validation, matrices), work / "stage1",
                          training_hooks(job, progress, "stage 1", "pieces"), device);
  char skill[64] = "";
  if (trained.validation_skill) {
    std::snprintf(skill, sizeof skill, ", skill %.3f on the validation runs", *trained.validation_skill);
  }
  job.log.say(Level::Normal, "stage 1: " + std::to_string(trained.steps) + " steps" + skill);
  if (trained.validation_skill && *trained.validation_skill < kLeastSkill) {
    job.log.warn(
        "stage 1 learnt little, so that its scores of windows mean little: more participants or "
        "--stage1-epochs may help, --ranker variance or uniform does without");
  }
  return trained;
}

}  // namespace

int64_t stage1_epochs(const TrainOptions& train) {
  return train.stage1_epochs.value_or(stage1_recipe(train).epochs);
}

clips::Ranker pretrain_ranker(const Config& config) {
  const bool stage1 = stage1_epochs(config.train) > 0;
  const std::string& word = config.embed.ranker;
  const clips::Ranker ranker = !word.empty() ? clips::ranker_from(word)
                               : stage1      ? clips::Ranker::MutualSource
                                             : clips::Ranker::Uniform;
  if (clips::needs_stage1(ranker) && !stage1) {
    throw Error(message::kNoModel,
                "--ranker " + word + " needs stage 1, and --stage1-epochs 0 leaves it out.",
                {.remedy = "use --ranker variance, uniform, random, first or all"});
  }
  return ranker;
}

PretrainedStage1 pretrain_stage1(const GroupJob& job, Progress& progress, const Cohort& cohort,
                                 const clips::RoiLabels& labels, CohortMatrices& matrices,
                                 const fs::path& work, at::Device device) {
  PretrainedStage1 out;
  out.ranking.options = {.ranker = pretrain_ranker(job.config),
                         .seed = static_cast<uint64_t>(job.config.train.seed)};
  if (clips::has_scores(out.ranking.options.ranker)) {
    out.ranking.labels = labels;
  }
  if (stage1_epochs(job.config.train) > 0) {
    train::Stage1Trained trained = trained_stage1(job, progress, cohort, labels, matrices, work, device);
    out.config = model::Stage1Config{
        .network = trained.network->options(), .atlas = labels.name, .atlas_sha256 = labels.sha256};
    out.weights = std::move(trained.weights);
    out.ranking.network = std::move(trained.network);
  }
  out.ranking = complete_ranking(std::move(out.ranking));
  return out;
}

std::vector<std::vector<clips::ClipFrames>> ranked_cohort(
    const GroupJob& job, Progress& progress, const Cohort& cohort, const std::vector<size_t>& runs,
    CohortMatrices& matrices, const WindowRanking& ranking, const fs::path& work) {
  create_folder(work / "windows");
  const ThreadsOf threads(job.config.train);
  std::vector<std::vector<clips::ClipFrames>> chosen;
  for (const size_t run : runs) {
    if (job.stop) {
      throw Error(message::kStopped, "Stopped while windows were ranked.",
                  {.remedy = "run the same call again (without --force): it continues"});
    }
    const clips::ClipStore store = clips::ClipStore::open(cohort.store_path(run));
    const RunToRank stored{.name = cohort.grid_name(run),
                           .store = store,
                           .fingerprint = bids::input_fingerprint(cohort.store_path(run))};
    const fs::path table = work / "windows" / (key_of(ranking, stored) + ".tsv");
    std::error_code ignored;
    if (!fs::exists(table, ignored)) {
      const std::vector<clips::RankedPiece> pieces = rank_run(
          ranking, stored, [&]() -> const clips::RoiMatrix& { return matrices.at(run); }, job.stop);
      write_atomically(table, [&](const fs::path& to) { write_text(to, windows_table(pieces, store)); });
    }
    chosen.push_back(clips_of_table(table));
    progress.show(static_cast<int64_t>(chosen.size()), static_cast<int64_t>(runs.size()), "windows ranked");
  }
  return chosen;
}

train::TrainerHooks training_hooks(const GroupJob& job, Progress& progress, const std::string& part,
                                   const std::string& things) {
  return {.stop = job.stop,
          .on_step =
              [&job, &progress, part, things](const train::TrainingProgress& now) {
                const std::string status = status_of(now, things);
                job.log.say(Level::Trace, part + ": step " + std::to_string(now.step) + ": " + status);
                progress.show(now.step, now.steps, part + ", " + status);
              },
          .say = [&job,
                  part](const std::string& sentence) { job.log.say(Level::Normal, part + ": " + sentence); }};
}

}  // namespace slim::pipelines
