// SPDX-License-Identifier: Apache-2.0
#include "train/finetune_trainer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

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
// Among the counters of the state.
constexpr const char* kBestEpoch = "best.epoch";
constexpr const char* kBestLoss = "best.loss";

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// What the validation cases say of an epoch.
struct Validation {
  double loss = 0;   // mean over clips, as of the training
  double score = 0;  // balanced accuracy, or mean squared error
};

/// Mean over the classes that occur of the share of cases whose largest output is the true class.
double balanced_accuracy(const std::vector<std::vector<double>>& outputs, const std::vector<double>& truth) {
  std::map<double, std::pair<double, double>> hits;  // class -> right, all
  for (size_t i = 0; i < truth.size(); ++i) {
    const auto largest = std::max_element(outputs[i].begin(), outputs[i].end()) - outputs[i].begin();
    hits[truth[i]].first += static_cast<double>(largest) == truth[i] ? 1 : 0;
    hits[truth[i]].second += 1;
  }
  double sum = 0;
  for (const auto& [name, counts] : hits) {
    sum += counts.first / counts.second;
  }
  return sum / static_cast<double>(hits.size());
}

double squared_error(const std::vector<std::vector<double>>& outputs, const std::vector<double>& truth) {
  double sum = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    sum += (outputs[i][0] - truth[i]) * (outputs[i][0] - truth[i]);
  }
  return sum / static_cast<double>(truth.size());
}

FinetuningOptions with_steps(const FinetuneOptions& options, int64_t steps_per_epoch) {
  FinetuningOptions out = options.finetuning;
  for (Schedule* schedule : {&out.schedule, &out.head_schedule}) {
    schedule->steps = options.epochs * steps_per_epoch;
    schedule->warmup_steps = std::min(options.warmup_epochs * steps_per_epoch, schedule->steps - 1);
  }
  return out;
}

class FinetuneTrainer {
 public:
  FinetuneTrainer(const FinetuneOptions& options, model::HieraEncoder encoder, const LabelledRuns& training,
                  const LabelledRuns& validation, const fs::path& folder, const TrainerHooks& hooks,
                  at::Device device, at::ScalarType type)
      : options_(options),
        training_(training),
        validation_(validation),
        folder_(folder),
        hooks_(hooks),
        device_(device),
        sampler_(training.clips.runs,
                 {.seed = options.finetuning.seed, .clips_per_step = options.clips_per_step}),
        steps_(with_steps(options, sampler_.steps_per_epoch()), std::move(encoder), device, type),
        checkpoints_(folder / "checkpoints") {
    state_.seed = options.finetuning.seed;
    state_.hashes = options.settings;
    state_.threads = at::get_num_threads();
    if (const std::optional<fs::path> latest = checkpoints_.latest()) {
      resume(*latest);
    }
    log_.emplace(folder, columns(), state_.step);
  }

  Finetuned run() {
    start_ = last_save_ = std::chrono::steady_clock::now();
    wall_before_ = state_.wall_s;
    first_step_ = state_.step;
    ClipFeed feed =
        feed_of(training_, training_plan(sampler_, static_cast<uint64_t>(state_.epoch), state_.epoch_step,
                                         static_cast<uint64_t>(options_.epochs), options_.clips_at_once));
    auto step_start = std::chrono::steady_clock::now();
    double waited = 0;
    while (const std::optional<FedBatch> batch = feed.next()) {
      waited += batch->seconds_waited;
      step_samples_ += static_cast<int64_t>(batch->plan.samples.size());
      steps_.accumulate(labelled(*batch, training_), batch->plan.epoch);
      feed.fetch_ahead();
      if (batch->plan.ends_step) {
        finish_step(seconds_since(step_start), std::exchange(waited, 0.0));
        step_start = std::chrono::steady_clock::now();
      }
    }
    return result();
  }

 private:
  bool classes() const { return options_.finetuning.classes > 0; }
  int64_t all_steps() const { return options_.epochs * sampler_.steps_per_epoch(); }
  std::string score_name() const { return classes() ? "val_balanced_accuracy" : "val_mse"; }

  std::vector<LogColumn> columns() const {
    return {{"lr", "Learning rate of the last layers of the encoder at the last step."},
            {"lr_head", "Learning rate of the head at the last step."},
            {"loss", "Cross-entropy, or squared error of the standardised number: mean over the steps."},
            {"grad_norm", "Norm of the gradient before it is limited."},
            {"samples_per_s", "Clips per second.", "1/s"},
            {"wait_share", "Share of the steps that waited for clips."},
            {"val_loss", "Loss of the validation clips, without dropped paths."},
            {score_name(), classes() ? "Balanced accuracy over the validation cases."
                                     : "Mean squared error over the validation cases, in squared SD."}};
  }

  ClipFeed feed_of(const LabelledRuns& runs, BatchPlan plan) const {
    const TokenSet* tokens = options_.finetuning.tokens;
    return {read_stores(runs.clips.stores, tokens == nullptr ? packaged_token_set() : *tokens),
            std::move(plan),
            {.threads = options_.reader_threads, .slots = 3, .clips_at_once = options_.clips_at_once},
            device_};
  }

  void resume(const fs::path& checkpoint) {
    const TrainerState saved = read_trainer_state(checkpoint / kState);
    refuse_other_settings(saved, options_.settings, checkpoint);
    read_tensors(checkpoint / kTensors, steps_.state());
    state_ = saved;
    state_.threads = at::get_num_threads();
    steps_.resume(state_.step);
    hooks_.say("going on after step " + std::to_string(state_.step));
    if (saved.threads != state_.threads && device_.is_cpu()) {
      hooks_.say("on " + std::to_string(state_.threads) + " threads instead of " +
                 std::to_string(saved.threads) + ": the last digits of the weights will differ");
    }
  }

  FinetuningBatch labelled(const FedBatch& batch, const LabelledRuns& runs) const {
    FinetuningBatch out{.clips = batch.clips, .truth = {}, .positions = {}};
    for (const Sample& sample : batch.plan.samples) {
      out.truth.push_back(runs.truth[runs.case_of[static_cast<size_t>(sample.run)]]);
      out.positions.push_back(sample.position);
    }
    return out;
  }

  void finish_step(double seconds, double waited) {
    const bool logged = state_.step % options_.log_every == 0;
    const FinetuningReport report = steps_.finish_step();
    const int64_t samples = std::exchange(step_samples_, 0);
    const double clips_per_s = static_cast<double>(samples) / std::max(seconds, 1e-9);
    state_.step += 1;
    state_.epoch_step += 1;
    state_.samples += samples;
    state_.wall_s = wall_before_ + seconds_since(start_);
    const LogRow row{.step = state_.step,
                     .epoch = state_.epoch,
                     .samples = state_.samples,
                     .wall_s = state_.wall_s,
                     .values = {{"lr", report.rate},
                                {"lr_head", report.head_rate},
                                {"loss", report.loss},
                                {"grad_norm", report.gradient_norm},
                                {"samples_per_s", clips_per_s},
                                {"wait_share", state_.step > first_step_ + 1 && waited > 1e-3 ? 1.0 : 0.0}}};
    means_.add(row.values);
    if (logged) {
      log_->add_step(row);
    }
    if (!report.finite) {
      refuse_infinite(report.loss);
    }
    const double each = seconds_since(start_) / static_cast<double>(state_.step - first_step_);
    hooks_.on_step({.step = state_.step,
                    .steps = all_steps(),
                    .epoch = state_.epoch,
                    .epochs = options_.epochs,
                    .epoch_step = state_.epoch_step,
                    .epoch_steps = sampler_.steps_per_epoch(),
                    .loss = report.loss,
                    .rate = report.rate,
                    .clips_per_s = clips_per_s,
                    .seconds_left = each * static_cast<double>(all_steps() - state_.step)});
    const bool best = state_.epoch_step == sampler_.steps_per_epoch() && finish_epoch(report);
    save_or_stop(best);
  }

  /// Ends the epoch and gives whether it is the best so far.
  bool finish_epoch(const FinetuningReport& last) {
    LogRow row{
        .step = state_.step, .epoch = state_.epoch + 1, .samples = state_.samples, .values = means_.means()};
    for (Scalar& value : row.values) {
      value.second = value.first == "lr"        ? last.rate
                     : value.first == "lr_head" ? last.head_rate
                                                : value.second;
    }
    std::string sentence = "epoch " + std::to_string(row.epoch) + " of " + std::to_string(options_.epochs) +
                           ": loss " + short_text(means_.mean("loss"));
    bool best = false;
    if (const std::optional<Validation> now = validate()) {
      if (!std::isfinite(now->loss)) {
        refuse_infinite(now->loss);
      }
      best = is_better(*now);
      sentence += ", of validation " + short_text(now->loss) +
                  (classes() ? ", balanced accuracy " + short_text(now->score) : "") +
                  (best ? " (best so far)" : "");
      row.values.emplace_back("val_loss", now->loss);
      row.values.emplace_back(score_name(), now->score);
      if (best) {
        state_.best = now->score;
        state_.watch[kBestLoss] = now->loss;
        state_.watch[kBestEpoch] = static_cast<double>(row.epoch);
      }
    }
    state_.wall_s = row.wall_s = wall_before_ + seconds_since(start_);
    log_->add_epoch(row);
    hooks_.say(sentence);
    means_.clear();
    state_.epoch += 1;
    state_.epoch_step = 0;
    return best;
  }

  /// Note [Best epoch].
  bool is_better(const Validation& now) const {
    if (!state_.best || now.score == *state_.best) {
      return !state_.best || (classes() && now.loss < state_.watch.at(kBestLoss));
    }
    return classes() ? now.score > *state_.best : now.score < *state_.best;
  }

  std::optional<Validation> validate() {
    const std::vector<Sample> samples = validation_samples(validation_.clips.runs);
    if (samples.empty()) {
      return std::nullopt;
    }
    const auto outputs = static_cast<size_t>(options_.finetuning.outputs());
    std::vector<std::vector<double>> means(validation_.truth.size(), std::vector<double>(outputs, 0.0));
    std::vector<double> clips(validation_.truth.size(), 0.0);
    double loss = 0;
    ClipFeed feed = feed_of(validation_, one_pass(samples, options_.clips_at_once));
    while (const std::optional<FedBatch> batch = feed.next()) {
      const FinetuningBatch truth = labelled(*batch, validation_);
      const at::Tensor said = steps_.predict(truth.clips).contiguous();
      loss += head_losses(said, truth.truth, options_.finetuning).to(at::kDouble).sum().item<double>();
      const float* value = said.const_data_ptr<float>();
      feed.fetch_ahead();
      for (const Sample& sample : batch->plan.samples) {
        const size_t of = validation_.case_of[static_cast<size_t>(sample.run)];
        clips[of] += 1;
        for (double& mean : means[of]) {
          mean += *value++;
        }
      }
    }
    for (size_t i = 0; i < means.size(); ++i) {
      for (double& mean : means[i]) {
        mean /= clips[i];
      }
    }
    return Validation{.loss = loss / static_cast<double>(samples.size()),
                      .score = classes() ? balanced_accuracy(means, validation_.truth)
                                         : squared_error(means, validation_.truth)};
  }

  void save_or_stop(bool best) {
    const bool over = state_.epoch == options_.epochs, stop = hooks_.stop;
    const bool due = state_.epoch_step == 0 && seconds_since(last_save_) >= options_.save_every_s;
    if (best || over || stop || due) {
      log_->sync();
      checkpoints_.save(
          state_.step,
          [&](const fs::path& folder) {
            write_tensors(folder / kTensors, steps_.state());
            write_trainer_state(folder / kState, state_);
          },
          best);
      last_save_ = std::chrono::steady_clock::now();
    }
    if (stop && !over) {
      throw Error(
          message::kStopped,
          "Fine-tuning was stopped after step " + std::to_string(state_.step) + "; its checkpoint is saved.",
          {.remedy = "run the same call again (without --force): it continues"});
    }
  }

  [[noreturn]] void refuse_infinite(double found) const {
    throw Error(
        message::kNotLearning, "The loss is not a finite number at step " + std::to_string(state_.step) + ".",
        {.file = (folder_ / "metrics.jsonl").string(),
         .found = std::to_string(found),
         .remedy = "train anew with --force and another --seed; prepare runs anew whose clip stores may be "
                   "damaged"});
  }

  Finetuned result() const {
    Finetuned done{.weights = {}, .best_epoch = state_.epoch, .score = state_.best, .steps = state_.step};
    const std::optional<fs::path> best = state_.best ? checkpoints_.best() : std::nullopt;
    Parameters stored;
    for (const auto& [key, tensor] : steps_.exported()) {
      done.weights[key] = best ? at::empty_like(tensor, at::TensorOptions().device(at::kCPU)) : tensor;
      stored["online." + key] = done.weights[key];
    }
    if (best) {
      read_tensors(*best / kTensors, stored);
      done.best_epoch = static_cast<int64_t>(state_.watch.at(kBestEpoch));
    }
    return done;
  }

  const FinetuneOptions& options_;
  const LabelledRuns& training_;
  const LabelledRuns& validation_;
  const fs::path& folder_;
  const TrainerHooks& hooks_;
  at::Device device_;
  Sampler sampler_;
  Finetuning steps_;
  CheckpointFolder checkpoints_;
  TrainerState state_{};
  EpochMeans means_{state_.watch};
  std::optional<TrainingLog> log_;
  std::chrono::steady_clock::time_point start_{}, last_save_{};
  double wall_before_ = 0;
  int64_t first_step_ = 0, step_samples_ = 0;
};

}  // namespace

Finetuned finetune(const FinetuneOptions& options, model::HieraEncoder encoder, const LabelledRuns& training,
                   const LabelledRuns& validation, const fs::path& folder, const TrainerHooks& hooks,
                   at::Device device, at::ScalarType type) {
  if (options.epochs < 1 || options.log_every < 1 || options.clips_at_once < 1) {
    throw Error(message::kBadValue, "A training needs at least one epoch.",
                {.found = std::to_string(options.epochs)});
  }
  return FinetuneTrainer(options, std::move(encoder), training, validation, folder, hooks, device, type)
      .run();
}

}  // namespace slim::train
