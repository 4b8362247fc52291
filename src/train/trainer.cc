// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "train/clip_feed.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

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

RunSetup setup_of(const TrainerOptions& options, const Sampler& sampler, const fs::path& folder,
                  at::Device device) {
  return {.folder = folder,
          .seed = options.sampler.seed,
          .settings = options.settings,
          .columns = columns_of(options.pretraining.objective),
          .epochs = options.epochs,
          .steps_per_epoch = sampler.steps_per_epoch(),
          .log_every = options.log_every,
          .keep_checkpoints = options.keep_checkpoints,
          .on_cpu = device.is_cpu()};
}

class Trainer {
 public:
  Trainer(const TrainerOptions& options, const TrainingRuns& training, const TrainingRuns& validation,
          const fs::path& folder, const TrainerHooks& hooks, at::Device device, at::ScalarType type)
      : options_(options),
        training_(training),
        validation_(validation),
        hooks_(hooks),
        device_(device),
        sampler_(training.runs, options.sampler),
        steps_(with_steps(options, sampler_.steps_per_epoch()), device, type),
        run_(setup_of(options, sampler_, folder, device), hooks, steps_.state()) {
    if (run_.is_resumed()) {
      std::map<std::string, double>& watch = run_.state().watch;
      steps_.resume(run_.state().step, {.consecutive = static_cast<int64_t>(watch["watch.consecutive"]),
                                        .narrow = watch["watch.narrow"] != 0});
    }
  }

  Trained run() {
    const TrainerState& state = run_.state();
    ClipFeed feed(reader_of(training_),
                  training_plan(sampler_, static_cast<uint64_t>(state.epoch), state.epoch_step,
                                static_cast<uint64_t>(options_.epochs), options_.clips_at_once),
                  loading(), device_);
    auto step_start = std::chrono::steady_clock::now();
    double waited = 0;
    while (const std::optional<FedBatch> batch = feed.next()) {
      const PlannedBatch& plan = batch->plan;
      waited += batch->seconds_waited;
      step_samples_ += static_cast<int64_t>(plan.samples.size());
      steps_.accumulate(input_of(*batch), plan.epoch, static_cast<uint64_t>(plan.step), run_.is_logged());
      feed.fetch_ahead();
      if (plan.ends_step) {
        finish_step(step_start, std::exchange(waited, 0.0));
        step_start = std::chrono::steady_clock::now();
      }
    }
    const LoaderStatistics seen = feed.statistics();
    hooks_.say("input: " + std::to_string(static_cast<int>(std::lround(100 * seen.wait_share()))) +
               " % of the steps waited for clips");
    return {.weights = steps_.exported(true),
            .steps = state.step,
            .samples = state.samples,
            .verdict = steps_.watch().verdict()};
  }

 private:
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
    const StepReport report = steps_.finish_step();
    // Only now a CUDA device has done the step.
    const int64_t samples = std::exchange(step_samples_, 0);
    const double clips_per_s = static_cast<double>(samples) / std::max(seconds_since(start), 1e-9);
    std::vector<Scalar> values = values_of(report);
    values.emplace_back("samples_per_s", clips_per_s);
    values.emplace_back("wait_share", run_.wait_share(waited));
    run_.add_step(samples, values);
    check(report);
    run_.say_progress(report.losses.loss, report.rate, clips_per_s);
    const bool epoch_ended = run_.ended_epoch(), best = epoch_ended && finish_epoch(report.rate);
    const bool stop = hooks_.stop;
    if (epoch_ended || stop) {
      save(best);
    }
    if (stop && !run_.is_over()) {
      run_.stop("Training");
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
    run_.refuse(what, found, "more participants, more --clips-per-step or another --seed");
  }

  std::vector<Scalar> values_of(const StepReport& report) const {
    std::vector<Scalar> values{
        {"lr", report.rate}, {"loss", report.losses.loss}, {"grad_norm", report.gradient_norm}};
    if (report.monitors) {
      values.emplace_back("target_std", report.monitors->target_std);
      values.emplace_back("cosine", report.monitors->cosine);
      values.emplace_back("effective_rank", report.monitors->effective_rank);
      values.emplace_back("input_share", report.monitors->input_share);
    }
    if (options_.pretraining.objective == Objective::Jepa) {
      for (size_t i = 0; i < model::kRegionNames.size(); ++i) {
        values.emplace_back("loss_" + std::string(model::kRegionNames[i]), report.losses.regions[i]);
      }
    }
    return values;
  }

  /// Ends the epoch and gives whether it is the best so far.
  bool finish_epoch(double rate) {
    std::string sentence = run_.epoch_sentence();
    std::vector<Scalar> more;
    bool best = false;
    if (const std::optional<double> loss = validate()) {
      if (!std::isfinite(*loss)) {
        stop_for("The loss of the validation participants is not a finite number", std::to_string(*loss));
      }
      sentence += ", of validation " + short_text(*loss);
      more.emplace_back("val_loss", *loss);
      std::optional<double>& least = run_.state().best;
      best = !least || *loss < *least;
      least = best ? *loss : *least;
    }
    run_.end_epoch({{"lr", rate}}, more);
    hooks_.say(sentence);
    return best;
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

  void save(bool best) {
    run_.state().watch["watch.consecutive"] = static_cast<double>(steps_.watch().state().consecutive);
    run_.state().watch["watch.narrow"] = steps_.watch().state().narrow ? 1 : 0;
    run_.save(steps_.state(), best);
  }

  const TrainerOptions& options_;
  const TrainingRuns& training_;
  const TrainingRuns& validation_;
  const TrainerHooks& hooks_;
  at::Device device_;
  Sampler sampler_;
  Pretraining steps_;
  TrainingRun run_;
  int64_t step_samples_ = 0;
};

}  // namespace

Trained train(const TrainerOptions& options, const TrainingRuns& training, const TrainingRuns& validation,
              const fs::path& folder, const TrainerHooks& hooks, at::Device device, at::ScalarType type) {
  return Trainer(options, training, validation, folder, hooks, device, type).run();
}

}  // namespace slim::train
