// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "clips/roi_matrix.h"
#include "train/stage1_training.h"
#include "train/trainer.h"

namespace slim::train {

/// Runs of stage 1. Matrices are asked for when they are needed, so a training that is over asks for none.
struct Stage1Runs {
  std::vector<int64_t> n_frames{};                              // of each run
  std::function<const clips::RoiMatrix&(size_t run)> matrix{};  // stays valid
};

/// Everything that decides about a training of stage 1.
struct Stage1TrainerOptions {
  Stage1Options stage1{};  // steps and warm-up of its schedule are set from the epochs
  int64_t epochs = 1, warmup_epochs = 0;
  int64_t pieces_per_step = 8;
  int64_t pieces_at_once = 8;  // of a micro-batch
  int64_t log_every = 1;       // steps
  double save_every_s = 60;    // a checkpoint at the first end of an epoch after this time
  /// What the result depends on, by name; a checkpoint made with another value is Error SB1008.
  std::map<std::string, std::string> settings{};
};

/// What a training of stage 1 gave.
struct Stage1Trained {
  model::GlobalMae network{nullptr};  // evaluation mode, on the training's device
  Parameters weights{};               // under their names in a model folder
  int64_t steps = 0;
  std::optional<double> validation_skill{};  // of the last epoch; none without runs to validate on
};

// Note [Stage-1 pieces]. An epoch visits each run once per piece of the run (clips::pieces_of), in the order
// of Note [Sampling]; the piece of a visit is clips::training_piece of stream (seed, "piece", epoch,
// position). Validation reads the pieces of its runs whole, with the masks of epoch 0. The network of the
// last step is kept.
/// Trains stage 1, or goes on with the training that `folder` holds (Notes [Stage-1 pieces], [Trainer]):
/// checkpoints in folder/checkpoints; metrics.jsonl, history.tsv and the TensorBoard file in folder. On a CPU
/// an interrupted training ends with the weights of an undisturbed one, bit for bit, for the same number of
/// threads. Errors: SB6001 stopped, with a checkpoint; SB4005 loss not finite; SB1008 a setting is not that
/// of the checkpoint; SB3002 no run has 40 frames; those of matrices and files.
Stage1Trained train_stage1(const Stage1TrainerOptions& options, const Stage1Runs& training,
                           const Stage1Runs& validation, const std::filesystem::path& folder,
                           const TrainerHooks& hooks, at::Device device = at::kCPU);

}  // namespace slim::train
