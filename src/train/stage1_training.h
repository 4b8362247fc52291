// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "model/global_mae.h"
#include "train/optimiser.h"
#include "train/schedule.h"

namespace slim::train {

/// Everything that decides about the steps of stage 1.
struct Stage1Options {
  model::GlobalMaeOptions network{};
  OptimiserOptions optimiser{.beta1 = 0.9, .beta2 = 0.999};
  Schedule schedule{};
  uint64_t seed = 1;
};

/// What the masked tokens of a step or a validation cost, read from the device.
struct Stage1Losses {
  double loss = 0;   // mean absolute error
  double skill = 0;  // 1 - loss / loss of predicting 0
};

/// One optimiser step, read from the device.
struct Stage1Report {
  Stage1Losses losses{};
  double gradient_norm = 0;  // before the limit
  double rate = 0;
  bool finite = true;  // of loss and gradient norm
};

/// The steps of stage-1 training (SimMIM): network, masks, optimiser. Masks are pure functions of (seed,
/// epoch, position); choosing the pieces and writing files is the trainer's.
class Stage1Training {
 public:
  /// A network with a random start on a device, float32.
  explicit Stage1Training(const Stage1Options& options, at::Device device = at::kCPU);
  /// Forward and backward pass of pieces at positions first_position, first_position + 1, ... of the epoch;
  /// gradients add up until finish_step.
  void accumulate(std::span<const model::RoiPiece> pieces, uint64_t epoch, uint64_t first_position);
  /// Divides by the masked entries of the whole step, clips, steps, waits for the device and reports.
  Stage1Report finish_step();
  /// Adds pieces to a validation: no gradient, masks of epoch 0 at their positions.
  void validate(std::span<const model::RoiPiece> pieces, uint64_t first_position);
  /// Losses over all pieces since the last call.
  Stage1Losses finish_validation();

  /// Weights under their names in a model folder (`global_mae.KEY`), float32.
  const Parameters& exported() const { return optimiser_.masters(); }
  /// All tensors that a resumed run needs: `online.KEY`, `exp_avg.KEY`, `exp_avg_sq.KEY`. Write into them,
  /// then call `resume`.
  Parameters state() const;
  void resume(int64_t steps_taken);
  const Optimiser& optimiser() const { return optimiser_; }
  const model::GlobalMae& network() const { return network_; }

 private:
  struct Sums {
    at::Tensor error, zero, entries;  // scalars
  };
  at::Tensor forward(std::span<const model::RoiPiece> pieces, uint64_t epoch, uint64_t first_position,
                     Sums& sums);
  static Stage1Losses read(const Sums& sums);

  Stage1Options options_;
  at::Device device_;
  model::GlobalMae network_;
  Optimiser optimiser_;
  Sums step_{}, validation_{};
};

}  // namespace slim::train
