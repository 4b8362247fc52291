// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/pretraining.h"
#include "train/sampler.h"
#include "train/training_run.h"

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

/// What a training gave.
struct Trained {
  Parameters weights{};  // those of a model folder; the target's encoder for JEPA
  int64_t steps = 0, samples = 0;
  Verdict verdict = Verdict::Healthy;
};

/// Trains, or goes on with the training that `folder` holds (Note [Training run]); a checkpoint is saved at
/// the end of each epoch and when the stop flag is up. Checkpoints in
/// folder/checkpoints, metrics.jsonl, history.tsv and the TensorBoard file in folder. Errors: SB6001 stopped,
/// with a checkpoint; SB4005 loss not finite or representation collapsed; SB1008 a setting is not that of the
/// checkpoint; those of sampler, loader and files.
Trained train(const TrainerOptions& options, const TrainingRuns& training, const TrainingRuns& validation,
              const std::filesystem::path& folder, const TrainerHooks& hooks, at::Device device = at::kCPU,
              at::ScalarType type = at::kFloat);

}  // namespace slim::train
