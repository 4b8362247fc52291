// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/finetuning.h"
#include "train/trainer.h"

namespace slim::train {

/// Runs with the case (participant, say) that each belongs to, and what is to be said of each case.
struct LabelledRuns {
  TrainingRuns clips{};           // `selected` holds the clips that are used
  std::vector<size_t> case_of{};  // of each run
  std::vector<double> truth{};    // of each case: index of the class, or the standardised number
};

/// Everything that decides about a fine-tuning.
struct FinetuneOptions {
  FinetuningOptions finetuning{};  // steps and warm-up of its schedules are set from the epochs
  int64_t clips_per_step = 32;
  int64_t epochs = 30, warmup_epochs = 2;
  int64_t clips_at_once = 1;  // of a micro-batch
  int64_t log_every = 1;      // steps
  int64_t reader_threads = 2;
  double save_every_s =
      60;  // a checkpoint at the first end of an epoch after this time, and at each new best
  /// What the result depends on, by name; a checkpoint made with another value is Error SB1008.
  std::map<std::string, std::string> settings{};
};

/// What a fine-tuning gave.
struct Finetuned {
  Parameters weights{};           // of the best epoch; of the last one without anybody to validate on
  int64_t best_epoch = 0;         // from 1
  std::optional<double> score{};  // its balanced accuracy, or mean squared error of standardised numbers
  int64_t steps = 0;
};

// Note [Best epoch]. After each epoch the outputs of a validation case's clips are averaged. Classes: the
// epoch of the highest balanced accuracy (mean recall over the classes that occur) is kept, among equals that
// of the lowest loss, then the earliest. Numbers: that of the lowest mean squared error, then the earliest.
/// Fine-tunes, or goes on with the training that `folder` holds (Notes [Trainer], [Best epoch]): checkpoints
/// in folder/checkpoints; metrics.jsonl, history.tsv and the TensorBoard file in folder. Errors as of
/// train().
Finetuned finetune(const FinetuneOptions& options, model::HieraEncoder encoder, const LabelledRuns& training,
                   const LabelledRuns& validation, const std::filesystem::path& folder,
                   const TrainerHooks& hooks, at::Device device = at::kCPU, at::ScalarType type = at::kFloat);

}  // namespace slim::train
