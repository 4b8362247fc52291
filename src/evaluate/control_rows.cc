// SPDX-License-Identifier: Apache-2.0
// Rows of the table that come from no Method: permuted labels and fingerprints.
#include <algorithm>
#include <array>
#include <numeric>

#include "evaluate/evaluation_table.h"

namespace slim::evaluate {
namespace {

/// A row whose value is the mean of one number a participant.
EvaluationRow mean_row(const std::vector<double>& of_participant, EvaluationRow row,
                       const EvaluationOptions& options) {
  Repeat repeat;
  for (size_t i = 0; i < of_participant.size(); ++i) {
    repeat.atom_of_row.push_back(static_cast<int32_t>(i));
  }
  repeat.statistics = [&](std::span<const int32_t> rows) {
    double sum = 0;
    for (const int32_t r : rows) {
      sum += of_participant[static_cast<size_t>(r)];
    }
    return std::vector<Value>{rows.empty() ? std::nullopt : Value(sum / static_cast<double>(rows.size()))};
  };
  std::vector<Value> draws;
  for (const auto& draw : bootstrap_draws(std::span(&repeat, 1), row.n, options.seed, options.draws)) {
    draws.push_back(draw.front());
  }
  const Interval interval = percentile_interval(draws);
  row.value = std::accumulate(of_participant.begin(), of_participant.end(), 0.0) /
              static_cast<double>(of_participant.size());
  row.ci_low = interval.low;
  row.ci_high = interval.high;
  return row;
}

}  // namespace

std::vector<EvaluationRow> permutation_rows(const std::function<Predictions(uint64_t)>& predict,
                                            int permutations, std::span<const EvaluationRow> table,
                                            const EvaluationOptions& options) {
  std::vector<std::vector<Value>> by_metric;
  int classes = 0;
  int64_t n = 0;
  for (int k = 0; k < permutations; ++k) {
    const Predictions predictions = predict(static_cast<uint64_t>(k));
    classes = predictions.classes;
    n = static_cast<int64_t>(predictions.rows.size());
    std::vector<int32_t> rows(predictions.rows.size());
    std::iota(rows.begin(), rows.end(), 0);
    const std::vector<Value> values = metric_values(predictions, rows);
    by_metric.resize(values.size());
    for (size_t m = 0; m < values.size(); ++m) {
      by_metric[m].push_back(values[m]);
    }
  }
  std::vector<EvaluationRow> rows;
  for (size_t m = 0; m < by_metric.size(); ++m) {
    const MetricInfo& metric = metrics_of(classes)[m];
    const Interval interval = percentile_interval(by_metric[m]);
    EvaluationRow row{.method = "permuted",
                      .split = options.split,
                      .group = "all",
                      .metric = std::string(metric.name),
                      .value = mean_of_defined(by_metric[m]),
                      .ci_low = interval.low,
                      .ci_high = interval.high,
                      .n = n,
                      .chance = {},
                      .units = units_text(metric.units, options.target_units)};
    for (const EvaluationRow& other : table) {
      if (other.method == options.chance_method && other.group == "all" && other.metric == row.metric &&
          other.units == row.units) {
        row.chance = other.value;
      }
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<EvaluationRow> identification_rows(const Identification& result, const std::string& method,
                                               const std::string& group, const EvaluationOptions& options) {
  std::vector<EvaluationRow> rows;
  const auto n = static_cast<double>(result.n);
  const std::vector<int64_t>&there = result.first_to_second.rank, &back = result.second_to_first.rank;
  const auto add = [&](const std::string& metric, double chance, const auto& of_rank) {
    std::array<std::vector<double>, 3> numbers;  // 1 -> 2, 2 -> 1, mean
    for (size_t i = 0; i < there.size(); ++i) {
      const double a = of_rank(there[i]), b = of_rank(back[i]);
      numbers[0].push_back(a);
      numbers[1].push_back(b);
      numbers[2].push_back((a + b) / 2);
    }
    constexpr std::array<const char*, 3> kSuffix{"_1_to_2", "_2_to_1", ""};
    for (size_t k = 0; k < 3; ++k) {
      const EvaluationRow row{.method = method,
                              .split = options.split,
                              .group = group,
                              .metric = metric + kSuffix[k],
                              .value = {},
                              .ci_low = {},
                              .ci_high = {},
                              .n = result.n,
                              .chance = chance,
                              .units = "1"};
      rows.push_back(mean_row(numbers[k], row, options));
    }
  };
  add("top1", 1 / n, [](int64_t rank) { return rank <= 1 ? 1.0 : 0.0; });
  add("top5", std::min(1.0, 5 / n), [](int64_t rank) { return rank <= 5 ? 1.0 : 0.0; });
  add("mean_rank", (n + 1) / 2, [](int64_t rank) { return static_cast<double>(rank); });
  return rows;
}

std::vector<EvaluationRow> closed_set_rows(const ClosedSet& result, const std::string& method,
                                           const std::string& group, const EvaluationOptions& options) {
  EvaluationRow row{.method = method,
                    .split = options.split,
                    .group = group,
                    .metric = "accuracy",
                    .value = {},
                    .ci_low = {},
                    .ci_high = {},
                    .n = result.n,
                    .chance = result.chance,
                    .units = "1"};
  EvaluationRow f1 = row;
  f1.metric = "macro_f1";
  f1.value = result.macro_f1;
  row = mean_row(result.hit_share, row, options);
  row.value = result.accuracy;
  return {row, f1};
}

}  // namespace slim::evaluate
