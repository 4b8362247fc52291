// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace slim::train {

/// Linear warm-up, then half a cosine down to a floor that does not scale; counted in optimiser steps
/// whatever the accumulation of gradients.
struct Schedule {
  double peak = 1e-3;
  double floor = 1e-6;
  int64_t steps = 1;         // of the whole training
  int64_t warmup_steps = 0;  // of these
};

/// Optimiser steps of an epoch: leftover clips form a last, smaller step.
int64_t steps_per_epoch(int64_t clips, int64_t clips_per_step);

/// The rate at step 0 <= k < steps of a group whose peak is scale x peak; the last step runs at the floor (or
/// at the group's peak where that is lower) exactly.
double learning_rate(const Schedule& schedule, double scale, int64_t step);

/// `rate`, a peak that somebody named. Error SB1002 when it is not a positive number.
double checked_rate(double rate);

/// Momentum of the target encoder after step 0 <= k < steps: start + (1 - start) k / steps.
double ema_momentum(double start, int64_t step, int64_t steps);

}  // namespace slim::train
