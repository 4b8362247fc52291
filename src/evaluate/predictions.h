// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evaluate/metrics.h"

namespace slim::evaluate {

/// One participant's prediction by a model that did not see it.
struct Prediction {
  std::string key;   // NAME/sub-X
  std::string atom;  // group or key: what splits deal out and the bootstrap draws
  int fold = 0;
  double truth = 0;            // class index, or number in the target's units
  std::vector<double> output;  // probabilities [classes], or the number
  double training_sd = 1;      // numbers: SD of the training split behind this prediction
};

/// Predictions of one method with one split seed; one a participant.
struct Predictions {
  int classes = 0;  // 0 = numbers
  std::vector<Prediction> rows;

  /// Sorts rows by key. Error SB9001 when a participant comes twice, an output has a wrong length, or a value
  /// is not finite.
  void finish();
};

enum class MetricUnits { None, Target, TargetSquared, Sd, SdSquared };

struct MetricInfo {
  std::string_view name;
  MetricUnits units = MetricUnits::None;
};
/// Classes: accuracy, balanced_accuracy, macro_f1, auc. Numbers: mae, mse, r2, pearson_r in the target's
/// units, then mae, mse in SD of the training split.
std::span<const MetricInfo> metrics_of(int classes);
/// "1" for numbers without unit; the target's units ("year", squared "year^2"; n/a when unknown); "SD",
/// "SD^2".
std::string units_text(MetricUnits units, const std::string& target_units);

/// All metrics of metrics_of over a choice of rows (repeats allowed), in its order.
std::vector<Value> metric_values(const Predictions& predictions, std::span<const int32_t> rows);

/// The row of `majority` (class shares of the training split as probabilities; classes > 0) or `mean`: what
/// is said without looking at the participant. training [n] are class indices or numbers.
std::vector<double> baseline_output(std::span<const double> training, int classes);
/// Population SD; 1 when it is below 1e-12.
double training_sd(std::span<const double> training);

}  // namespace slim::evaluate
