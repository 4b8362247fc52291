// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "train/checkpoint_folder.h"
#include "train/checkpoint_tensors.h"
#include "train/clip_feed.h"
#include "train/trainer_state.h"
#include "train/training_log.h"
#include "train/training_run.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

constexpr const char* kTensors = "state.safetensors";
constexpr const char* kState = "trainer.json";

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<LogColumn> columns_of(Objective objective) {
  std::vector<LogColumn> columns = usual_columns();
  if (objective == Objective::Jepa) {
    for (const std::string_view region : model::kRegionNames) {
      columns.push_back(
          {"loss_" + std::string(region), "Training loss of this region, mean over the steps."});
    }
  }
  columns.push_back({"val_loss", "Loss of the validation participants, masks of epoch 0."});
  return columns;
}

PretrainingOptions with_steps(const TrainerOptions& options, int64_t steps_per_epoch) {
  PretrainingOptions out = options.pretraining;
  out.schedule.steps = options.epochs * steps_per_epoch;
  out.schedule.warmup_steps = std::min(options.warmup_epochs * steps_per_epoch, out.schedule.steps - 1);
  out.verdict.warmup_steps = out.schedule.warmup_steps;
  return out;
}

class Trainer {
 public:
  Trainer(const TrainerOptions& options, const TrainingRuns& training, const TrainingRuns& validation,
          const fs::path& folder, const TrainerHooks& hooks, at::Device device, at::ScalarType type)
      : options_(options),
        training_(training),
        validation_(validation),
        folder_(folder),
        hooks_(hooks),
        device_(device),
        sampler_(training.runs, options.sampler),
        steps_(with_steps(options, sampler_.steps_per_epoch()), device, type),
        checkpoints_(folder / "checkpoints", options.keep_checkpoints) {
    state_.seed = options.sampler.seed;
    state_.hashes = options.settings;
    state_.threads = at::get_num_threads();
    if (const std::optional<fs::path> latest = checkpoints_.latest()) {
      resume(*latest);
    }
    log_.emplace(folder, columns_of(options.pretraining.objective), state_.step);
  }

  Trained run() {
    start_ = std::chrono::steady_clock::now();
    wall_before_ = state_.wall_s;
    first_step_ = state_.step;
    ClipFeed feed(reader_of(training_),
                  training_plan(sampler_, static_cast<uint64_t>(state_.epoch), state_.epoch_step,
                                static_cast<uint64_t>(options_.epochs), options_.clips_at_once),
                  loading(), device_);
    auto step_start = std::chrono::steady_clock::now();
    double waited = 0;
    while (const std::optional<FedBatch> batch = feed.next()) {
      const PlannedBatch& plan = batch->plan;
      waited += batch->seconds_waited;
      state_.samples += static_cast<int64_t>(plan.samples.size());
      step_samples_ += static_cast<int64_t>(plan.samples.size());
      steps_.accumulate(input_of(*batch), plan.epoch, static_cast<uint64_t>(plan.step), is_logged());
      feed.fetch_ahead();
      if (!plan.ends_step) {
        continue;
      }
      finish_step(step_start, waited);
      step_start = std::chrono::steady_clock::now();
      waited = 0;
    }
    const LoaderStatistics seen = feed.statistics();
    hooks_.say("input: " + std::to_string(static_cast<int>(std::lround(100 * seen.wait_share()))) +
               " % of the steps waited for clips");
    return {.weights = steps_.exported(true),
            .steps = state_.step,
            .samples = state_.samples,
            .verdict = steps_.watch().verdict()};
  }

 private:
  bool is_logged() const { return state_.step % options_.log_every == 0; }

  void resume(const fs::path& checkpoint) {
    const TrainerState saved = read_trainer_state(checkpoint / kState);
    refuse_other_settings(saved, options_.settings, checkpoint);
    read_tensors(checkpoint / kTensors, steps_.state());
    state_ = saved;
    state_.threads = at::get_num_threads();
    steps_.resume(state_.step, {.consecutive = static_cast<int64_t>(state_.watch["watch.consecutive"]),
                                .narrow = state_.watch["watch.narrow"] != 0});
    hooks_.say("going on after step " + std::to_string(state_.step));
    if (saved.threads != state_.threads && device_.is_cpu()) {
      hooks_.say("on " + std::to_string(state_.threads) + " threads instead of " +
                 std::to_string(saved.threads) + ": the last digits of the weights will differ");
    }
  }

  std::unique_ptr<ClipReader> reader_of(const TrainingRuns& from) const {
    const TokenSet* tokens = options_.pretraining.jepa.tokens;
    return read_stores(from.stores, tokens == nullptr ? packaged_token_set() : *tokens);
  }

  LoaderOptions loading() const {
    return {.threads = options_.reader_threads,
            .slots = 3,
            .clips_at_once = options_.clips_at_once,
            .with_valid = options_.pretraining.objective == Objective::Mae};
  }

  static PretrainingBatch input_of(const FedBatch& batch) {
    PretrainingBatch out{.clips = batch.clips, .valid = batch.valid, .positions = {}};
    for (const Sample& sample : batch.plan.samples) {
      out.positions.push_back(sample.position);
    }
    return out;
  }

  void finish_step(std::chrono::steady_clock::time_point start, double waited) {
    const bool logged = is_logged();
    const StepReport report = steps_.finish_step();
    // Only now a CUDA device has done the step.
    const double seconds = seconds_since(start);
    const int64_t samples = std::exchange(step_samples_, 0);
    state_.step += 1;
    state_.epoch_step += 1;
    state_.wall_s = wall_before_ + seconds_since(start_);
    LogRow row = row_of(report);
    row.values.emplace_back("samples_per_s", static_cast<double>(samples) / std::max(seconds, 1e-9));
    // Of one step the share is 0 or 1; the first one fills the ring and is no shortage.
    row.values.emplace_back("wait_share", state_.step > first_step_ + 1 && waited > 1e-3 ? 1.0 : 0.0);
    means_.add(row.values);
    if (logged) {
      log_->add_step(row);
    }
    check(report);
    say_progress(report, static_cast<double>(samples) / std::max(seconds, 1e-9));
    const bool epoch_ended = state_.epoch_step == sampler_.steps_per_epoch();
    if (epoch_ended) {
      finish_epoch(report.rate);
    }
    const bool stop = hooks_.stop;
    if (epoch_ended || stop) {
      save();
    }
    if (stop && state_.epoch < options_.epochs) {
      throw Error(
          message::kStopped,
          "Training was stopped after step " + std::to_string(state_.step) + "; its checkpoint is saved.",
          {.remedy = "run the same call again (without --force): it continues"});
    }
  }

  void check(const StepReport& report) const {
    if (!report.finite) {
      stop_for("The loss or its gradient is not a finite number",
               "loss " + std::to_string(report.losses.loss) + ", norm of the gradient " +
                   std::to_string(report.gradient_norm));
    }
    if (report.verdict == Verdict::Collapsed) {
      stop_for("The representation has collapsed", "target_std below 0.001 or input_share below 0.0001 in " +
                                                       std::to_string(options_.pretraining.verdict.patience) +
                                                       " logged steps on end");
    }
  }

  /// The checkpoint before stays, but the same call would come to the same end.
  [[noreturn]] void stop_for(const std::string& what, const std::string& found) const {
    throw Error(message::kNotLearning, what + " at step " + std::to_string(state_.step) + ".",
                {.file = (folder_ / "metrics.jsonl").string(),
                 .found = found,
                 .remedy = "train anew with --force and more participants, more --clips-per-step or another "
                           "--seed; prepare runs anew whose clip stores may be damaged"});
  }

  LogRow row_of(const StepReport& report) const {
    LogRow row{
        .step = state_.step,
        .epoch = state_.epoch,
        .samples = state_.samples,
        .wall_s = state_.wall_s,
        .values = {{"lr", report.rate}, {"loss", report.losses.loss}, {"grad_norm", report.gradient_norm}}};
    if (report.monitors) {
      row.values.emplace_back("target_std", report.monitors->target_std);
      row.values.emplace_back("cosine", report.monitors->cosine);
      row.values.emplace_back("effective_rank", report.monitors->effective_rank);
      row.values.emplace_back("input_share", report.monitors->input_share);
    }
    if (options_.pretraining.objective == Objective::Jepa) {
      for (size_t i = 0; i < model::kRegionNames.size(); ++i) {
        row.values.emplace_back("loss_" + std::string(model::kRegionNames[i]), report.losses.regions[i]);
      }
    }
    return row;
  }

  void say_progress(const StepReport& report, double clips_per_s) const {
    const int64_t steps = options_.epochs * sampler_.steps_per_epoch();
    const double each = seconds_since(start_) / static_cast<double>(state_.step - first_step_);
    hooks_.on_step({.step = state_.step,
                    .steps = steps,
                    .epoch = state_.epoch,
                    .epochs = options_.epochs,
                    .epoch_step = state_.epoch_step,
                    .epoch_steps = sampler_.steps_per_epoch(),
                    .loss = report.losses.loss,
                    .rate = report.rate,
                    .clips_per_s = clips_per_s,
                    .seconds_left = each * static_cast<double>(steps - state_.step)});
  }

  void finish_epoch(double rate) {
    LogRow row{
        .step = state_.step, .epoch = state_.epoch + 1, .samples = state_.samples, .values = means_.means()};
    for (Scalar& value : row.values) {
      value.second = value.first == "lr" ? rate : value.second;
    }
    best_ = false;
    std::string sentence = "epoch " + std::to_string(row.epoch) + " of " + std::to_string(options_.epochs) +
                           ": loss " + short_text(means_.mean("loss"));
    if (const std::optional<double> loss = validate()) {
      if (!std::isfinite(*loss)) {
        stop_for("The loss of the validation participants is not a finite number", std::to_string(*loss));
      }
      sentence += ", of validation " + short_text(*loss);
      row.values.emplace_back("val_loss", *loss);
      best_ = !state_.best || *loss < *state_.best;
      state_.best = best_ ? *loss : *state_.best;
    }
    state_.wall_s = row.wall_s = wall_before_ + seconds_since(start_);
    log_->add_epoch(row);
    hooks_.say(sentence);
    means_.clear();
    state_.epoch += 1;
    state_.epoch_step = 0;
  }

  std::optional<double> validate() {
    const std::vector<Sample> samples = validation_samples(validation_.runs);
    if (samples.empty()) {
      return std::nullopt;
    }
    ClipFeed feed(reader_of(validation_), one_pass(samples, options_.clips_at_once), loading(), device_);
    while (const std::optional<FedBatch> batch = feed.next()) {
      steps_.validate(input_of(*batch), static_cast<uint64_t>(batch->plan.step));
      feed.fetch_ahead();
    }
    return steps_.finish_validation().loss;
  }

  void save() {
    log_->sync();
    state_.watch["watch.consecutive"] = static_cast<double>(steps_.watch().state().consecutive);
    state_.watch["watch.narrow"] = steps_.watch().state().narrow ? 1 : 0;
    checkpoints_.save(
        state_.step,
        [&](const fs::path& folder) {
          write_tensors(folder / kTensors, steps_.state());
          write_trainer_state(folder / kState, state_);
        },
        std::exchange(best_, false));
  }

  const TrainerOptions& options_;
  const TrainingRuns& training_;
  const TrainingRuns& validation_;
  const fs::path& folder_;
  const TrainerHooks& hooks_;
  at::Device device_;
  Sampler sampler_;
  Pretraining steps_;
  CheckpointFolder checkpoints_;
  TrainerState state_{};
  EpochMeans means_{state_.watch};
  std::optional<TrainingLog> log_;
  std::chrono::steady_clock::time_point start_{};
  double wall_before_ = 0;
  int64_t first_step_ = 0, step_samples_ = 0;
  bool best_ = false;
};

}  // namespace

Trained train(const TrainerOptions& options, const TrainingRuns& training, const TrainingRuns& validation,
              const fs::path& folder, const TrainerHooks& hooks, at::Device device, at::ScalarType type) {
  if (options.epochs < 1 || options.log_every < 1) {
    throw Error(message::kBadValue, "A training needs at least one epoch.",
                {.found = std::to_string(options.epochs)});
  }
  return Trainer(options, training, validation, folder, hooks, device, type).run();
}

}  // namespace slim::train
