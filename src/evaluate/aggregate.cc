// SPDX-License-Identifier: Apache-2.0
#include "evaluate/aggregate.h"

#include <cmath>

#include "core/error.h"
#include "evaluate/softmax_fit.h"

namespace slim::evaluate {
namespace {

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) {
    sum += value;
  }
  return sum / static_cast<double>(values.size());
}

Value sd_of(std::span<const double> values) {
  if (values.size() < 2) {
    return std::nullopt;
  }
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return std::sqrt(squares / static_cast<double>(values.size()));
}

}  // namespace

Aggregate aggregate_classes(std::span<const double> logits, int classes) {
  if (classes < 1 || logits.empty() || logits.size() % static_cast<size_t>(classes) != 0) {
    throw Error(message::kBug, "no clips, or logits of a wrong length, to aggregate");
  }
  Matrix clips(static_cast<int64_t>(logits.size()) / classes, classes), mean(1, classes);
  for (int64_t i = 0; i < clips.rows; ++i) {
    for (int64_t c = 0; c < classes; ++c) {
      clips(i, c) = logits[static_cast<size_t>(i * classes + c)];
      mean(0, c) += clips(i, c);
    }
  }
  for (double& value : mean.values) {
    value /= static_cast<double>(clips.rows);
  }
  softmax_in_place(mean);
  softmax_in_place(clips);
  Aggregate result{.n_clips = clips.rows, .probabilities = mean.values};
  const int predicted = predicted_classes(result.probabilities, classes).front();
  std::vector<double> of_predicted;
  for (int64_t i = 0; i < clips.rows; ++i) {
    of_predicted.push_back(clips(i, predicted));
  }
  result.prediction = predicted;
  result.sd = sd_of(of_predicted);
  return result;
}

Aggregate aggregate_numbers(std::span<const double> standardised, double target_mean, double target_sd) {
  if (standardised.empty()) {
    throw Error(message::kBug, "no clips to aggregate");
  }
  Aggregate result{.n_clips = static_cast<int64_t>(standardised.size())};
  result.prediction = target_mean + target_sd * mean_of(standardised);
  if (const Value sd = sd_of(standardised)) {
    result.sd = *sd * target_sd;
  }
  return result;
}

}  // namespace slim::evaluate
