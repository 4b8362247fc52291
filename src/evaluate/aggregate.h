// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evaluate/metrics.h"

namespace slim::evaluate {

/// The prediction of a run or a participant from the outputs of its clips.
struct Aggregate {
  int64_t n_clips = 0;
  std::vector<double> probabilities{};  // classes; empty for numbers
  double prediction = 0;                // index of the class, or the number in the target's units
  Value sd{};  // over clips, population: of the number, or of the predicted class's probability; n/a for one
               // clip
};

/// Mean of the logits [clips, classes] over clips, then softmax; ties of the prediction go to the lowest
/// class. Taking all clips of a participant equals the mean over its runs weighted by clips. Error SB9001
/// without clips.
Aggregate aggregate_classes(std::span<const double> logits, int classes);

/// Mean of the standardised outputs [clips], then mean + SD x output in the target's units.
Aggregate aggregate_numbers(std::span<const double> standardised, double target_mean, double target_sd);

}  // namespace slim::evaluate
