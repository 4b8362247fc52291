// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/parameters.h"
#include "train/schedule.h"

namespace slim::train {

using model::Parameters;

/// How a parameter is treated: its rate is scale x the rate of the backbone or of the head.
struct Group {
  double scale = 1.0;
  double weight_decay = 0.0;
  bool head = false;
  auto operator<=>(const Group&) const = default;
};

/// What decides about groups.
struct GroupOptions {
  double weight_decay = 0.05;
  double layer_decay = 1.0;  // below 1: early blocks learn more slowly
  int64_t blocks = 24;       // of the encoder
};

/// The group of a key of a checkpoint. No decay for biases, norms, positions and mask tokens. Layer decay to
/// the power 0 for head, encoder_norm, fusion and decoder, N - i for block i, N + 1 for patches and
/// positions.
Group group_of(std::string_view key, const GroupOptions& options);

/// AdamW.
struct OptimiserOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double gradient_limit = 1.0;  // of the norm over all parameters
  GroupOptions groups{};
};

// Note [Masters]. Parameters in bfloat16 are working copies: the step is taken on float32 masters, which are
// then rounded into them. float32 parameters are their own masters.
/// Fused AdamW over parameters by key. The state (masters, moments, count of steps) is reachable for
/// checkpoints; nothing in a step waits for the device.
class Optimiser {
 public:
  Optimiser(const Parameters& parameters, const OptimiserOptions& options);
  /// One step from the gradients that lie in the parameters, divided by `divisor` (a scalar tensor or number:
  /// the targets of the whole step) and then scaled down to the norm limit. Gradients are dropped afterwards.
  /// Gives the norm after the division and before the limit, on the device. Error SB9001 when a parameter has
  /// no gradient.
  at::Tensor step(const at::Tensor& divisor, const Schedule& schedule, const Schedule& head_schedule);
  at::Tensor step(double divisor, const Schedule& schedule);
  /// Adds the gradients that lie in bfloat16 parameters to float32 sums, for step; those of float32 ones stay
  /// where they are. To be called after the backward pass of each micro-batch.
  void gather_gradients();
  /// Drops all gradients.
  void clear_gradients();

  /// Steps taken so far; the next one has this number.
  int64_t steps_taken() const { return steps_; }
  /// Sorted by key.
  const Parameters& masters() const { return masters_; }
  const Parameters& first_moments() const { return first_; }
  const Parameters& second_moments() const { return second_; }
  /// All of them by key: `online.KEY` (masters), `exp_avg.KEY`, `exp_avg_sq.KEY`.
  Parameters state() const;
  /// Goes on after so many steps, from what was written into the tensors of `state`.
  void resume(int64_t steps_taken);

 private:
  void publish_masters();

  struct Members {
    Group group;
    std::vector<at::Tensor> masters, first, second;
    std::vector<size_t> places;  // among all parameters in key order
  };

  Parameters parameters_, masters_, first_, second_;
  Parameters sums_;  // gathered gradients of bfloat16 parameters
  OptimiserOptions options_;
  std::vector<Members> groups_;
  int64_t steps_ = 0;
};

}  // namespace slim::train
