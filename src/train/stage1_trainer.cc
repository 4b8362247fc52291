// SPDX-License-Identifier: Apache-2.0
#include "train/stage1_trainer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>

#include "core/error.h"
#include "train/checkpoint_folder.h"
#include "train/checkpoint_tensors.h"
#include "train/sampler.h"
#include "train/trainer_state.h"
#include "train/training_log.h"
#include "train/training_run.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

constexpr const char* kTensors = "state.safetensors";
constexpr const char* kState = "trainer.json";
constexpr const char* kSkillNow = "validation.skill";  // among the counters of the state

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<LogColumn> stage1_columns() {
  return {{"lr", "Learning rate of the last step."},
          {"loss", "Mean absolute error of masked entries, mean over the steps."},
          {"skill", "1 - loss / loss of predicting 0, mean over the steps."},
          {"grad_norm", "Norm of the gradient before it is limited."},
          {"samples_per_s", "Pieces per second.", "1/s"},
          {"val_loss", "Loss of the validation participants, masks of epoch 0."},
          {"val_skill", "Skill on the validation participants, masks of epoch 0."}};
}

/// Visits are those of a stage-2 epoch; only which frames are read differs.
Sampler sampler_of(const Stage1TrainerOptions& options, const Stage1Runs& training) {
  std::vector<SampledRun> runs;
  for (const int64_t frames : training.n_frames) {
    runs.push_back({.n_frames = frames});
  }
  return {
      std::move(runs),
      {.source = ClipSource::Random, .seed = options.stage1.seed, .clips_per_step = options.pieces_per_step}};
}

Stage1Options with_steps(const Stage1TrainerOptions& options, int64_t steps_per_epoch) {
  Stage1Options out = options.stage1;
  out.schedule.steps = options.epochs * steps_per_epoch;
  out.schedule.warmup_steps = std::min(options.warmup_epochs * steps_per_epoch, out.schedule.steps - 1);
  return out;
}

model::RoiPiece piece_of(const Stage1Runs& runs, size_t run, const clips::Window& frames) {
  const clips::RoiMatrix& matrix = runs.matrix(run);
  return {.matrix = matrix.values,
          .valid_rois = matrix.valid,
          .matrix_frames = matrix.frames,
          .first = frames.first,
          .frames = frames.last - frames.first};
}

class Stage1Trainer {
 public:
  Stage1Trainer(const Stage1TrainerOptions& options, const Stage1Runs& training, const Stage1Runs& validation,
                const fs::path& folder, const TrainerHooks& hooks, at::Device device)
      : options_(options),
        training_(training),
        validation_(validation),
        folder_(folder),
        hooks_(hooks),
        device_(device),
        sampler_(sampler_of(options, training)),
        steps_(with_steps(options, sampler_.steps_per_epoch()), device),
        checkpoints_(folder / "checkpoints") {
    state_.seed = options.stage1.seed;
    state_.hashes = options.settings;
    state_.threads = at::get_num_threads();
    if (const std::optional<fs::path> latest = checkpoints_.latest()) {
      resume(*latest);
    }
    log_.emplace(folder, stage1_columns(), state_.step);
  }

  Stage1Trained run() {
    start_ = last_save_ = std::chrono::steady_clock::now();
    wall_before_ = state_.wall_s;
    first_step_ = state_.step;
    while (state_.epoch < options_.epochs) {
      do_step();
    }
    model::GlobalMae network = steps_.network();
    network->eval();
    const auto skill = state_.watch.find(kSkillNow);
    return {.network = std::move(network),
            .weights = steps_.exported(),
            .steps = state_.step,
            .validation_skill = skill == state_.watch.end() ? std::nullopt : std::optional(skill->second)};
  }

 private:
  int64_t all_steps() const { return options_.epochs * sampler_.steps_per_epoch(); }

  void resume(const fs::path& checkpoint) {
    const TrainerState saved = read_trainer_state(checkpoint / kState);
    refuse_other_settings(saved, options_.settings, checkpoint);
    read_tensors(checkpoint / kTensors, steps_.state());
    state_ = saved;
    state_.threads = at::get_num_threads();
    steps_.resume(state_.step);
    if (state_.epoch < options_.epochs) {
      hooks_.say("going on after step " + std::to_string(state_.step));
    }
    if (saved.threads != state_.threads && device_.is_cpu() && state_.epoch < options_.epochs) {
      hooks_.say("on " + std::to_string(state_.threads) + " threads instead of " +
                 std::to_string(saved.threads) + ": the last digits of the weights will differ");
    }
  }

  void do_step() {
    const auto start = std::chrono::steady_clock::now();
    const auto epoch = static_cast<uint64_t>(state_.epoch);
    const std::vector<Sample> visits = sampler_.step(epoch, state_.epoch_step);
    std::vector<model::RoiPiece> pieces;
    for (const Sample& visit : visits) {
      const auto run = static_cast<size_t>(visit.run);
      Stream stream(options_.stage1.seed, "piece", epoch, visit.position);
      pieces.push_back(piece_of(training_, run, clips::training_piece(training_.n_frames[run], stream)));
    }
    for_batches(pieces, [&](std::span<const model::RoiPiece> batch, size_t first) {
      steps_.accumulate(batch, epoch, visits[first].position);
    });
    finish_step(steps_.finish_step(), static_cast<int64_t>(visits.size()), start);
  }

  template <class Work>
  void for_batches(const std::vector<model::RoiPiece>& pieces, const Work& work) const {
    const auto most = static_cast<size_t>(options_.pieces_at_once);
    for (size_t first = 0; first < pieces.size(); first += most) {
      work(std::span(pieces).subspan(first, std::min(most, pieces.size() - first)), first);
    }
  }

  void finish_step(const Stage1Report& report, int64_t pieces, std::chrono::steady_clock::time_point start) {
    const bool logged = state_.step % options_.log_every == 0;
    const double pieces_per_s = static_cast<double>(pieces) / std::max(seconds_since(start), 1e-9);
    state_.step += 1;
    state_.epoch_step += 1;
    state_.samples += pieces;
    state_.wall_s = wall_before_ + seconds_since(start_);
    const LogRow row{.step = state_.step,
                     .epoch = state_.epoch,
                     .samples = state_.samples,
                     .wall_s = state_.wall_s,
                     .values = {{"lr", report.rate},
                                {"loss", report.losses.loss},
                                {"skill", report.losses.skill},
                                {"grad_norm", report.gradient_norm},
                                {"samples_per_s", pieces_per_s}}};
    means_.add(row.values);
    if (logged) {
      log_->add_step(row);
    }
    if (!report.finite) {
      refuse_infinite("The loss of stage 1 or its gradient", report.losses.loss);
    }
    say_progress(report, pieces_per_s);
    if (state_.epoch_step == sampler_.steps_per_epoch()) {
      finish_epoch(report.rate);
    }
    save_or_stop();
  }

  void say_progress(const Stage1Report& report, double pieces_per_s) const {
    const double each = seconds_since(start_) / static_cast<double>(state_.step - first_step_);
    hooks_.on_step({.step = state_.step,
                    .steps = all_steps(),
                    .epoch = state_.epoch,
                    .epochs = options_.epochs,
                    .epoch_step = state_.epoch_step,
                    .epoch_steps = sampler_.steps_per_epoch(),
                    .loss = report.losses.loss,
                    .rate = report.rate,
                    .clips_per_s = pieces_per_s,
                    .seconds_left = each * static_cast<double>(all_steps() - state_.step)});
  }

  void finish_epoch(double rate) {
    LogRow row{
        .step = state_.step, .epoch = state_.epoch + 1, .samples = state_.samples, .values = means_.means()};
    for (Scalar& value : row.values) {
      value.second = value.first == "lr" ? rate : value.second;
    }
    std::string sentence = "epoch " + std::to_string(row.epoch) + " of " + std::to_string(options_.epochs) +
                           ": loss " + short_text(means_.mean("loss")) + ", skill " +
                           short_text(means_.mean("skill"));
    if (const std::optional<Stage1Losses> losses = validate()) {
      if (!std::isfinite(losses->loss)) {
        refuse_infinite("The loss of stage 1 on the validation participants", losses->loss);
      }
      sentence += ", of validation " + short_text(losses->loss) + " and " + short_text(losses->skill);
      row.values.emplace_back("val_loss", losses->loss);
      row.values.emplace_back("val_skill", losses->skill);
      state_.watch[kSkillNow] = losses->skill;
    }
    state_.wall_s = row.wall_s = wall_before_ + seconds_since(start_);
    log_->add_epoch(row);
    if (row.epoch % std::max<int64_t>(1, options_.epochs / 10) == 0) {  // epochs are short here
      hooks_.say(sentence);
    }
    means_.clear();
    state_.epoch += 1;
    state_.epoch_step = 0;
  }

  std::optional<Stage1Losses> validate() {
    std::vector<model::RoiPiece> pieces;
    for (size_t run = 0; run < validation_.n_frames.size(); ++run) {
      for (const clips::Window& piece : clips::pieces_of(validation_.n_frames[run])) {
        pieces.push_back(piece_of(validation_, run, piece));
      }
    }
    if (pieces.empty()) {
      return std::nullopt;
    }
    for_batches(pieces,
                [&](std::span<const model::RoiPiece> batch, size_t first) { steps_.validate(batch, first); });
    return steps_.finish_validation();
  }

  void save_or_stop() {
    const bool over = state_.epoch == options_.epochs, stop = hooks_.stop;
    const bool due = state_.epoch_step == 0 && seconds_since(last_save_) >= options_.save_every_s;
    if (over || stop || due) {
      save();
    }
    if (stop && !over) {
      throw Error(
          message::kStopped,
          "Stage 1 was stopped after step " + std::to_string(state_.step) + "; its checkpoint is saved.",
          {.remedy = "run the same call again (without --force): it continues"});
    }
  }

  void save() {
    log_->sync();
    checkpoints_.save(state_.step, [&](const fs::path& folder) {
      write_tensors(folder / kTensors, steps_.state());
      write_trainer_state(folder / kState, state_);
    });
    last_save_ = std::chrono::steady_clock::now();
  }

  [[noreturn]] void refuse_infinite(const std::string& what, double found) const {
    throw Error(
        message::kNotLearning, what + " is not a finite number at step " + std::to_string(state_.step) + ".",
        {.file = (folder_ / "metrics.jsonl").string(),
         .found = std::to_string(found),
         .remedy = "train anew with --force and another --seed, or without stage 1 (--stage1-epochs 0); "
                   "prepare runs anew whose clip stores may be damaged"});
  }

  const Stage1TrainerOptions& options_;
  const Stage1Runs& training_;
  const Stage1Runs& validation_;
  const fs::path& folder_;
  const TrainerHooks& hooks_;
  at::Device device_;
  Sampler sampler_;
  Stage1Training steps_;
  CheckpointFolder checkpoints_;
  TrainerState state_{};
  EpochMeans means_{state_.watch};
  std::optional<TrainingLog> log_;
  std::chrono::steady_clock::time_point start_{}, last_save_{};
  double wall_before_ = 0;
  int64_t first_step_ = 0;
};

}  // namespace

Stage1Trained train_stage1(const Stage1TrainerOptions& options, const Stage1Runs& training,
                           const Stage1Runs& validation, const fs::path& folder, const TrainerHooks& hooks,
                           at::Device device) {
  if (options.epochs < 1 || options.log_every < 1 || options.pieces_at_once < 1) {
    throw Error(message::kBadValue, "A training needs at least one epoch.",
                {.found = std::to_string(options.epochs)});
  }
  return Stage1Trainer(options, training, validation, folder, hooks, device).run();
}

}  // namespace slim::train
