// SPDX-License-Identifier: Apache-2.0
#include "evaluate/bootstrap.h"

#include <algorithm>
#include <cmath>

#include "core/seed.h"

namespace slim::evaluate {
namespace {

/// Quantile of sorted values, linear between order statistics.
double quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(std::floor(place));
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (place - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

void statistics_of_draw(const Repeat& repeat, const std::vector<int>& counts,
                        std::vector<std::vector<Value>>& by_statistic) {
  std::vector<int32_t> rows;
  for (size_t row = 0; row < repeat.atom_of_row.size(); ++row) {
    rows.insert(rows.end(), static_cast<size_t>(counts[static_cast<size_t>(repeat.atom_of_row[row])]),
                static_cast<int32_t>(row));
  }
  const std::vector<Value> values = repeat.statistics(rows);
  by_statistic.resize(values.size());
  for (size_t s = 0; s < values.size(); ++s) {
    by_statistic[s].push_back(values[s]);
  }
}

}  // namespace

std::vector<int> draw_counts(uint64_t seed, int64_t draw, int64_t n_atoms) {
  Stream stream(seed, "bootstrap", 0, static_cast<uint64_t>(draw));
  std::vector<int> counts(static_cast<size_t>(n_atoms));
  for (int64_t i = 0; i < n_atoms; ++i) {
    ++counts[stream.bounded(static_cast<uint64_t>(n_atoms))];
  }
  return counts;
}

std::vector<std::vector<Value>> bootstrap_draws(std::span<const Repeat> repeats, int64_t n_atoms,
                                                uint64_t seed, int64_t draws) {
  std::vector<std::vector<Value>> result;
  for (int64_t d = 0; d < draws; ++d) {
    const std::vector<int> counts = draw_counts(seed, d, n_atoms);
    std::vector<std::vector<Value>> by_statistic;
    for (const Repeat& repeat : repeats) {
      statistics_of_draw(repeat, counts, by_statistic);
    }
    std::vector<Value> means;
    for (const std::vector<Value>& values : by_statistic) {
      means.push_back(mean_of_defined(values));
    }
    result.push_back(std::move(means));
  }
  return result;
}

Interval percentile_interval(std::span<const Value> draws) {
  std::vector<double> defined;
  for (const Value& value : draws) {
    if (value) {
      defined.push_back(*value);
    }
  }
  if (defined.empty() || 2 * defined.size() < draws.size()) {
    return {};
  }
  std::sort(defined.begin(), defined.end());
  return {quantile(defined, 0.025), quantile(defined, 0.975)};
}

PairedDifference paired_difference(std::span<const Value> draws_a, std::span<const Value> draws_b) {
  std::vector<Value> differences;
  double below = 0, above = 0, defined = 0;
  for (size_t d = 0; d < draws_a.size(); ++d) {
    differences.push_back(draws_a[d] && draws_b[d] ? Value(*draws_a[d] - *draws_b[d]) : std::nullopt);
    if (differences.back()) {
      defined += 1;
      below += *differences.back() <= 0 ? 1 : 0;
      above += *differences.back() >= 0 ? 1 : 0;
    }
  }
  PairedDifference result{percentile_interval(differences), std::nullopt};
  if (result.interval.low) {
    result.p = std::clamp(2 * std::min(below, above) / defined, 1 / defined, 1.0);
  }
  return result;
}

std::vector<Value> holm(std::span<const Value> p) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i]) {
      order.push_back(i);
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return *p[a] < *p[b]; });
  std::vector<Value> corrected(p.size());
  double largest = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    largest = std::max(largest, static_cast<double>(order.size() - k) * *p[order[k]]);
    corrected[order[k]] = std::min(largest, 1.0);
  }
  return corrected;
}

}  // namespace slim::evaluate
