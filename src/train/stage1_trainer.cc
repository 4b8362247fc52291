// SPDX-License-Identifier: Apache-2.0
#include "train/stage1_trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>

#include "core/error.h"
#include "train/sampler.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

constexpr const char* kSkillNow = "validation.skill";  // among the counters of the state

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

RunSetup setup_of(const Stage1TrainerOptions& options, const Sampler& sampler, const fs::path& folder,
                  at::Device device) {
  return {.folder = folder,
          .seed = options.stage1.seed,
          .settings = options.settings,
          .columns = stage1_columns(),
          .epochs = options.epochs,
          .steps_per_epoch = sampler.steps_per_epoch(),
          .log_every = options.log_every,
          .on_cpu = device.is_cpu()};
}

class Stage1Trainer {
 public:
  Stage1Trainer(const Stage1TrainerOptions& options, const Stage1Runs& training, const Stage1Runs& validation,
                const fs::path& folder, const TrainerHooks& hooks, at::Device device)
      : options_(options),
        training_(training),
        validation_(validation),
        hooks_(hooks),
        sampler_(sampler_of(options, training)),
        steps_(with_steps(options, sampler_.steps_per_epoch()), device),
        run_(setup_of(options, sampler_, folder, device), hooks, steps_.state()) {
    if (run_.is_resumed()) {
      steps_.resume(run_.state().step);
    }
  }

  Stage1Trained run() {
    while (!run_.is_over()) {
      do_step();
    }
    model::GlobalMae network = steps_.network();
    network->eval();
    const std::map<std::string, double>& watch = run_.state().watch;
    const auto skill = watch.find(kSkillNow);
    return {.network = std::move(network),
            .weights = steps_.exported(),
            .steps = run_.state().step,
            .validation_skill = skill == watch.end() ? std::nullopt : std::optional(skill->second)};
  }

 private:
  void do_step() {
    const auto start = std::chrono::steady_clock::now();
    const auto epoch = static_cast<uint64_t>(run_.state().epoch);
    const std::vector<Sample> visits = sampler_.step(epoch, run_.state().epoch_step);
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
    const double pieces_per_s = static_cast<double>(pieces) / std::max(seconds_since(start), 1e-9);
    run_.add_step(pieces, {{"lr", report.rate},
                           {"loss", report.losses.loss},
                           {"skill", report.losses.skill},
                           {"grad_norm", report.gradient_norm},
                           {"samples_per_s", pieces_per_s}});
    if (!report.finite) {
      refuse_infinite("The loss of stage 1 or its gradient", report.losses.loss);
    }
    run_.say_progress(report.losses.loss, report.rate, pieces_per_s);
    if (run_.ended_epoch()) {
      finish_epoch(report.rate);
    }
    save_or_stop();
  }

  void finish_epoch(double rate) {
    std::string sentence = run_.epoch_sentence() + ", skill " + short_text(run_.mean("skill"));
    std::vector<Scalar> more;
    if (const std::optional<Stage1Losses> losses = validate()) {
      if (!std::isfinite(losses->loss)) {
        refuse_infinite("The loss of stage 1 on the validation participants", losses->loss);
      }
      sentence += ", of validation " + short_text(losses->loss) + " and " + short_text(losses->skill);
      more = {{"val_loss", losses->loss}, {"val_skill", losses->skill}};
      run_.state().watch[kSkillNow] = losses->skill;
    }
    run_.end_epoch({{"lr", rate}}, more);
    if (run_.state().epoch % std::max<int64_t>(1, options_.epochs / 10) == 0) {  // epochs are short here
      hooks_.say(sentence);
    }
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
    const bool stop = hooks_.stop;
    const bool due = run_.state().epoch_step == 0 && run_.seconds_since_save() >= options_.save_every_s;
    if (run_.is_over() || stop || due) {
      run_.save(steps_.state());
    }
    if (stop && !run_.is_over()) {
      run_.stop("Stage 1");
    }
  }

  [[noreturn]] void refuse_infinite(const std::string& what, double found) const {
    run_.refuse(what + " is not a finite number", std::to_string(found),
                "another --seed, or without stage 1 (--stage1-epochs 0)");
  }

  const Stage1TrainerOptions& options_;
  const Stage1Runs& training_;
  const Stage1Runs& validation_;
  const TrainerHooks& hooks_;
  Sampler sampler_;
  Stage1Training steps_;
  TrainingRun run_;
};

}  // namespace

Stage1Trained train_stage1(const Stage1TrainerOptions& options, const Stage1Runs& training,
                           const Stage1Runs& validation, const fs::path& folder, const TrainerHooks& hooks,
                           at::Device device) {
  if (options.pieces_at_once < 1) {
    throw Error(message::kBadValue, "A batch needs at least one piece.");
  }
  return Stage1Trainer(options, training, validation, folder, hooks, device).run();
}

}  // namespace slim::train
