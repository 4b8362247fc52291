// SPDX-License-Identifier: Apache-2.0
#include "train/finetune_trainer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "train/checkpoint_tensors.h"
#include "train/clip_feed.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

// Among the counters of the state.
constexpr const char* kBestEpoch = "best.epoch";
constexpr const char* kBestLoss = "best.loss";

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
        hooks_(hooks),
        device_(device),
        sampler_(training.clips.runs,
                 {.seed = options.finetuning.seed, .clips_per_step = options.clips_per_step}),
        steps_(with_steps(options, sampler_.steps_per_epoch()), std::move(encoder), device, type),
        run_(setup(folder), hooks, steps_.state()) {
    if (run_.is_resumed()) {
      steps_.resume(run_.state().step);
    }
  }

  Finetuned run() {
    const TrainerState& state = run_.state();
    ClipFeed feed =
        feed_of(training_, training_plan(sampler_, static_cast<uint64_t>(state.epoch), state.epoch_step,
                                         static_cast<uint64_t>(options_.epochs), options_.clips_at_once));
    auto step_start = std::chrono::steady_clock::now();
    double waited = 0;
    while (const std::optional<FedBatch> batch = feed.next()) {
      waited += batch->seconds_waited;
      step_samples_ += static_cast<int64_t>(batch->plan.samples.size());
      steps_.accumulate(labelled(*batch, training_), batch->plan.epoch);
      feed.fetch_ahead();
      if (batch->plan.ends_step) {
        finish_step(step_start, std::exchange(waited, 0.0));
        step_start = std::chrono::steady_clock::now();
      }
    }
    return result();
  }

 private:
  bool classes() const { return options_.finetuning.classes > 0; }
  std::string score_name() const { return classes() ? "val_balanced_accuracy" : "val_mse"; }

  RunSetup setup(const fs::path& folder) const {
    return {.folder = folder,
            .seed = options_.finetuning.seed,
            .settings = options_.settings,
            .columns = columns(),
            .epochs = options_.epochs,
            .steps_per_epoch = sampler_.steps_per_epoch(),
            .log_every = options_.log_every,
            .on_cpu = device_.is_cpu()};
  }

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

  FinetuningBatch labelled(const FedBatch& batch, const LabelledRuns& runs) const {
    FinetuningBatch out{.clips = batch.clips, .truth = {}, .positions = {}};
    for (const Sample& sample : batch.plan.samples) {
      out.truth.push_back(runs.truth[runs.case_of[static_cast<size_t>(sample.run)]]);
      out.positions.push_back(sample.position);
    }
    return out;
  }

  void finish_step(std::chrono::steady_clock::time_point start, double waited) {
    const FinetuningReport report = steps_.finish_step();
    // Only now a CUDA device has done the step.
    const int64_t samples = std::exchange(step_samples_, 0);
    const double clips_per_s = static_cast<double>(samples) / std::max(seconds_since(start), 1e-9);
    run_.add_step(samples, {{"lr", report.rate},
                            {"lr_head", report.head_rate},
                            {"loss", report.loss},
                            {"grad_norm", report.gradient_norm},
                            {"samples_per_s", clips_per_s},
                            {"wait_share", run_.wait_share(waited)}});
    if (!report.finite) {
      refuse_infinite(report.loss);
    }
    run_.say_progress(report.loss, report.rate, clips_per_s);
    save_or_stop(run_.ended_epoch() && finish_epoch(report));
  }

  /// Ends the epoch and gives whether it is the best so far.
  bool finish_epoch(const FinetuningReport& last) {
    std::string sentence = run_.epoch_sentence();
    std::vector<Scalar> more;
    bool best = false;
    if (const std::optional<Validation> now = validate()) {
      if (!std::isfinite(now->loss)) {
        refuse_infinite(now->loss);
      }
      best = is_better(*now);
      sentence += ", of validation " + short_text(now->loss) +
                  (classes() ? ", balanced accuracy " + short_text(now->score) : "") +
                  (best ? " (best so far)" : "");
      more = {{"val_loss", now->loss}, {score_name(), now->score}};
      if (best) {
        TrainerState& state = run_.state();
        state.best = now->score;
        state.watch[kBestLoss] = now->loss;
        state.watch[kBestEpoch] = static_cast<double>(state.epoch + 1);
      }
    }
    run_.end_epoch({{"lr", last.rate}, {"lr_head", last.head_rate}}, more);
    hooks_.say(sentence);
    return best;
  }

  /// Note [Best epoch].
  bool is_better(const Validation& now) const {
    if (!run_.state().best || now.score == *run_.state().best) {
      return !run_.state().best || (classes() && now.loss < run_.state().watch.at(kBestLoss));
    }
    return classes() ? now.score > *run_.state().best : now.score < *run_.state().best;
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
    const bool stop = hooks_.stop;
    const bool due = run_.state().epoch_step == 0 && run_.seconds_since_save() >= options_.save_every_s;
    if (best || run_.is_over() || stop || due) {
      run_.save(steps_.state(), best);
    }
    if (stop && !run_.is_over()) {
      run_.stop("Fine-tuning");
    }
  }

  [[noreturn]] void refuse_infinite(double found) const {
    run_.refuse("The loss is not a finite number", std::to_string(found), "another --seed");
  }

  Finetuned result() const {
    Finetuned done{.weights = {},
                   .best_epoch = run_.state().epoch,
                   .score = run_.state().best,
                   .steps = run_.state().step};
    const std::optional<fs::path> best = run_.state().best ? run_.checkpoints().best() : std::nullopt;
    Parameters stored;
    for (const auto& [key, tensor] : steps_.exported()) {
      done.weights[key] = best ? at::empty_like(tensor, at::TensorOptions().device(at::kCPU)) : tensor;
      stored["online." + key] = done.weights[key];
    }
    if (best) {
      read_tensors(*best / kCheckpointTensors, stored);
      done.best_epoch = static_cast<int64_t>(run_.state().watch.at(kBestEpoch));
    }
    return done;
  }

  const FinetuneOptions& options_;
  const LabelledRuns& training_;
  const LabelledRuns& validation_;
  const TrainerHooks& hooks_;
  at::Device device_;
  Sampler sampler_;
  Finetuning steps_;
  TrainingRun run_;
  int64_t step_samples_ = 0;
};

}  // namespace

Finetuned finetune(const FinetuneOptions& options, model::HieraEncoder encoder, const LabelledRuns& training,
                   const LabelledRuns& validation, const fs::path& folder, const TrainerHooks& hooks,
                   at::Device device, at::ScalarType type) {
  return FinetuneTrainer(options, std::move(encoder), training, validation, folder, hooks, device, type)
      .run();
}

}  // namespace slim::train
