// SPDX-License-Identifier: Apache-2.0
#include "evaluate/predictions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace slim::evaluate {
namespace {

constexpr std::array<MetricInfo, 4> kOfClasses{{{"accuracy"}, {"balanced_accuracy"}, {"macro_f1"}, {"auc"}}};
constexpr std::array<MetricInfo, 6> kOfNumbers{{{"mae", MetricUnits::Target},
                                                {"mse", MetricUnits::TargetSquared},
                                                {"r2"},
                                                {"pearson_r"},
                                                {"mae", MetricUnits::Sd},
                                                {"mse", MetricUnits::SdSquared}}};

std::vector<Value> class_values(const Predictions& predictions, std::span<const int32_t> rows) {
  std::vector<int> truth, fold;
  std::vector<double> probabilities;
  for (const int32_t r : rows) {
    const Prediction& row = predictions.rows[static_cast<size_t>(r)];
    truth.push_back(static_cast<int>(row.truth));
    fold.push_back(row.fold);
    probabilities.insert(probabilities.end(), row.output.begin(), row.output.end());
  }
  const std::vector<int> predicted = predicted_classes(probabilities, predictions.classes);
  return {accuracy(truth, predicted), balanced_accuracy(truth, predicted), macro_f1(truth, predicted),
          auc_of_probabilities(truth, probabilities, predictions.classes, fold)};
}

std::vector<Value> number_values(const Predictions& predictions, std::span<const int32_t> rows) {
  std::vector<double> truth, predicted, truth_sd, predicted_sd;
  for (const int32_t r : rows) {
    const Prediction& row = predictions.rows[static_cast<size_t>(r)];
    truth.push_back(row.truth);
    predicted.push_back(row.output.front());
    truth_sd.push_back(row.truth / row.training_sd);
    predicted_sd.push_back(row.output.front() / row.training_sd);
  }
  return {mean_absolute_error(truth, predicted),
          mean_squared_error(truth, predicted),
          r_squared(truth, predicted),
          pearson_r(truth, predicted),
          mean_absolute_error(truth_sd, predicted_sd),
          mean_squared_error(truth_sd, predicted_sd)};
}

}  // namespace

void Predictions::finish() {
  std::sort(rows.begin(), rows.end(), [](const Prediction& a, const Prediction& b) { return a.key < b.key; });
  for (size_t i = 0; i < rows.size(); ++i) {
    const Prediction& row = rows[i];
    if (i > 0 && row.key == rows[i - 1].key) {
      throw Error(message::kBug, "two predictions of one method for " + row.key);
    }
    const bool finite =
        std::isfinite(row.truth) && row.training_sd > 0 && std::isfinite(row.training_sd) &&
        std::all_of(row.output.begin(), row.output.end(), [](double v) { return std::isfinite(v); });
    const bool in_range = classes == 0 || (row.truth >= 0 && row.truth < classes);
    if (!finite || !in_range || row.output.size() != static_cast<size_t>(std::max(1, classes))) {
      throw Error(message::kBug,
                  "the prediction for " + row.key + " is not finite or has a wrong number of values");
    }
  }
}

std::span<const MetricInfo> metrics_of(int classes) {
  return classes > 0 ? std::span<const MetricInfo>(kOfClasses) : std::span<const MetricInfo>(kOfNumbers);
}

std::string units_text(MetricUnits units, const std::string& target_units) {
  const std::string own = target_units.empty() ? "n/a" : target_units;
  switch (units) {
    case MetricUnits::None:
      return "1";
    case MetricUnits::Target:
      return own;
    case MetricUnits::TargetSquared:
      return own == "n/a" ? own : own + "^2";
    case MetricUnits::Sd:
      return "SD";
    case MetricUnits::SdSquared:
      return "SD^2";
  }
  return "n/a";
}

std::vector<Value> metric_values(const Predictions& predictions, std::span<const int32_t> rows) {
  return predictions.classes > 0 ? class_values(predictions, rows) : number_values(predictions, rows);
}

std::vector<double> baseline_output(std::span<const double> training, int classes) {
  const auto n = static_cast<double>(training.size());
  if (classes == 0) {
    return {std::accumulate(training.begin(), training.end(), 0.0) / n};
  }
  std::vector<double> shares(static_cast<size_t>(classes));
  for (const double value : training) {
    shares[static_cast<size_t>(value)] += 1;
  }
  for (double& share : shares) {
    share /= n;
  }
  return shares;
}

double training_sd(std::span<const double> training) {
  const double mean = baseline_output(training, 0).front();
  double squares = 0;
  for (const double value : training) {
    squares += (value - mean) * (value - mean);
  }
  const double sd = std::sqrt(squares / static_cast<double>(training.size()));
  return sd < 1e-12 ? 1 : sd;
}

}  // namespace slim::evaluate
