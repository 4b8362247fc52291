// SPDX-License-Identifier: Apache-2.0
#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "core/error.h"

namespace slim::train {

int64_t steps_per_epoch(int64_t clips, int64_t clips_per_step) {
  return (clips + clips_per_step - 1) / clips_per_step;
}

double learning_rate(const Schedule& schedule, double scale, int64_t step) {
  const double peak = schedule.peak * scale, floor = std::min(schedule.floor, peak);
  if (step < schedule.warmup_steps) {
    return peak * static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
  }
  const auto length = std::max<int64_t>(1, schedule.steps - 1 - schedule.warmup_steps);
  const double done = static_cast<double>(step - schedule.warmup_steps) / static_cast<double>(length);
  return floor + (peak - floor) * (1.0 + std::cos(std::numbers::pi * done)) / 2.0;
}

double checked_rate(double rate) {
  if (!(rate > 0.0) || !std::isfinite(rate)) {
    throw Error(message::kBadValue, "A learning rate is a positive number.", {.found = std::to_string(rate)});
  }
  return rate;
}

double ema_momentum(double start, int64_t step, int64_t steps) {
  return start + (1.0 - start) * static_cast<double>(step) / static_cast<double>(steps);
}

}  // namespace slim::train
