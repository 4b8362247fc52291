// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/pretraining.h"
#include "train/sampler.h"

namespace slim::train {

/// Runs to learn from, or to validate on: `stores[i]` holds the frames of `runs[i]`.
struct TrainingRuns {
  std::vector<std::filesystem::path> stores{};
  std::vector<SampledRun> runs{};
};

/// Everything that decides about a training of stage 2.
struct TrainerOptions {
  PretrainingOptions pretraining{};  // steps and warm-up of its schedule and verdict are set from the epochs
  SamplerOptions sampler{};
  int64_t epochs = 1, warmup_epochs = 0;
  int64_t clips_at_once = 1;  // of a micro-batch
  int64_t log_every = 1;      // steps
  int64_t reader_threads = 2;
  int64_t keep_checkpoints = 2;  // the best one is kept too
  /// What the result depends on, by name; a checkpoint made with another value is Error SB1008.
  std::map<std::string, std::string> settings{};
};

/// How far a training is, after an optimiser step.
struct TrainingProgress {
  int64_t step = 0, steps = 0;                 // taken, of the whole training
  int64_t epoch = 0, epochs = 0;               // running, counted from 0
  int64_t epoch_step = 0, epoch_steps = 0;     // taken in it
  double loss = 0, rate = 0, clips_per_s = 0;  // of the last step
  double seconds_left = 0;
};

struct TrainerHooks {
  const std::atomic<bool>& stop;                                                          // read once a step
  std::function<void(const TrainingProgress&)> on_step = [](const TrainingProgress&) {};  // after each step
  std::function<void(const std::string&)> say = [](const std::string&) {};  // a sentence for people
};

/// What a training gave.
struct Trained {
  Parameters weights{};  // those of a model folder; the target's encoder for JEPA
  int64_t steps = 0, samples = 0;
  Verdict verdict = Verdict::Healthy;
};

// Note [Trainer]. A checkpoint is saved at the end of each epoch and when the stop flag is up; it holds
// everything that the next step depends on, sums of the running epoch included, so that an interrupted
// training ends with the weights of an undisturbed one, bit for bit on a CPU. The log is made safe before the
// checkpoint of its step is saved.
/// Trains, or goes on with the training that `folder` holds (Note [Trainer]): checkpoints in
/// folder/checkpoints, metrics.jsonl, history.tsv and the TensorBoard file in folder. Errors: SB6001 stopped,
/// with a checkpoint; SB4005 loss not finite or representation collapsed; SB1008 a setting is not that of the
/// checkpoint; those of sampler, loader and files.
Trained train(const TrainerOptions& options, const TrainingRuns& training, const TrainingRuns& validation,
              const std::filesystem::path& folder, const TrainerHooks& hooks, at::Device device = at::kCPU,
              at::ScalarType type = at::kFloat);

}  // namespace slim::train
