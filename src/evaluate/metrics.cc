// SPDX-License-Identifier: Apache-2.0
#include "evaluate/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace slim::evaluate {
namespace {

struct ClassCounts {
  int64_t truth = 0, predicted = 0, both = 0;
};

std::vector<ClassCounts> count_classes(std::span<const int> truth, std::span<const int> predicted) {
  int last = -1;
  for (size_t i = 0; i < truth.size(); ++i) {
    last = std::max({last, truth[i], predicted[i]});
  }
  std::vector<ClassCounts> counts(static_cast<size_t>(last + 1));
  for (size_t i = 0; i < truth.size(); ++i) {
    ++counts[static_cast<size_t>(truth[i])].truth;
    ++counts[static_cast<size_t>(predicted[i])].predicted;
    counts[static_cast<size_t>(truth[i])].both += truth[i] == predicted[i] ? 1 : 0;
  }
  return counts;
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

bool is_constant(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [&](double value) { return value == values.front(); });
}

/// The area and its weight n1 n0 (0 = undefined).
struct WeightedAuc {
  double area = 0, weight = 0;
};

WeightedAuc weighted_auc(std::span<const int> positive, std::span<const double> score) {
  std::vector<size_t> order(score.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] < score[b]; });
  double positives = 0, rank_sum = 0;
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    double here = 0;
    while (last < order.size() && score[order[last]] == score[order[first]]) {
      here += positive[order[last++]] != 0 ? 1 : 0;
    }
    positives += here;
    rank_sum += here * 0.5 * static_cast<double>(first + 1 + last);  // mid-rank, counted from 1
    first = last;
  }
  const double weight = positives * (static_cast<double>(score.size()) - positives);
  return weight > 0 ? WeightedAuc{(rank_sum - 0.5 * positives * (positives + 1)) / weight, weight}
                    : WeightedAuc{};
}

/// One class against the rest, inside each fold.
Value auc_of_class(std::span<const int> truth, std::span<const double> probabilities, size_t classes,
                   int wanted, std::span<const int> fold) {
  std::vector<int> folds(fold.begin(), fold.end());
  folds.resize(truth.size());
  std::vector<int> distinct = folds;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  double sum = 0, weight = 0;
  std::vector<int> positive;
  std::vector<double> score;
  for (const int f : distinct) {
    positive.clear();
    score.clear();
    for (size_t i = 0; i < truth.size(); ++i) {
      if (folds[i] == f) {
        positive.push_back(truth[i] == wanted ? 1 : 0);
        score.push_back(probabilities[i * classes + static_cast<size_t>(wanted)]);
      }
    }
    const WeightedAuc one = weighted_auc(positive, score);
    sum += one.area * one.weight;
    weight += one.weight;
  }
  return weight > 0 ? Value(sum / weight) : std::nullopt;
}

}  // namespace

std::vector<int> predicted_classes(std::span<const double> probabilities, int classes) {
  const auto width = static_cast<size_t>(classes);
  std::vector<int> best;
  for (size_t row = 0; row + width <= probabilities.size(); row += width) {
    const auto first = probabilities.begin() + static_cast<std::ptrdiff_t>(row);
    best.push_back(static_cast<int>(std::max_element(first, first + classes) - first));
  }
  return best;
}

Value accuracy(std::span<const int> truth, std::span<const int> predicted) {
  int64_t right = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    right += truth[i] == predicted[i] ? 1 : 0;
  }
  return truth.empty() ? std::nullopt : Value(static_cast<double>(right) / static_cast<double>(truth.size()));
}

Value balanced_accuracy(std::span<const int> truth, std::span<const int> predicted) {
  std::vector<Value> recalls;
  for (const ClassCounts& c : count_classes(truth, predicted)) {
    if (c.truth > 0) {
      recalls.emplace_back(static_cast<double>(c.both) / static_cast<double>(c.truth));
    }
  }
  return mean_of_defined(recalls);
}

Value macro_f1(std::span<const int> truth, std::span<const int> predicted) {
  std::vector<Value> scores;
  for (const ClassCounts& c : count_classes(truth, predicted)) {
    if (c.truth + c.predicted > 0) {
      scores.emplace_back(2.0 * static_cast<double>(c.both) / static_cast<double>(c.truth + c.predicted));
    }
  }
  return mean_of_defined(scores);
}

Value auc(std::span<const int> positive, std::span<const double> score) {
  const WeightedAuc result = weighted_auc(positive, score);
  return result.weight > 0 ? Value(result.area) : std::nullopt;
}

Value auc_of_probabilities(std::span<const int> truth, std::span<const double> probabilities, int classes,
                           std::span<const int> fold) {
  std::vector<Value> areas;
  for (int c = classes == 2 ? 1 : 0; c < classes; ++c) {
    areas.push_back(auc_of_class(truth, probabilities, static_cast<size_t>(classes), c, fold));
  }
  return mean_of_defined(areas);
}

Value mean_absolute_error(std::span<const double> truth, std::span<const double> predicted) {
  double sum = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    sum += std::abs(truth[i] - predicted[i]);
  }
  return truth.empty() ? std::nullopt : Value(sum / static_cast<double>(truth.size()));
}

Value mean_squared_error(std::span<const double> truth, std::span<const double> predicted) {
  double sum = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    sum += (truth[i] - predicted[i]) * (truth[i] - predicted[i]);
  }
  return truth.empty() ? std::nullopt : Value(sum / static_cast<double>(truth.size()));
}

Value r_squared(std::span<const double> truth, std::span<const double> predicted) {
  if (truth.size() < 2 || is_constant(truth)) {
    return std::nullopt;
  }
  const double mean = mean_of(truth);
  double residual = 0, total = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    residual += (truth[i] - predicted[i]) * (truth[i] - predicted[i]);
    total += (truth[i] - mean) * (truth[i] - mean);
  }
  return total > 0 ? Value(1 - residual / total) : std::nullopt;
}

Value pearson_r(std::span<const double> truth, std::span<const double> predicted) {
  if (truth.size() < 2 || is_constant(truth) || is_constant(predicted)) {
    return std::nullopt;
  }
  const double mean_a = mean_of(truth), mean_b = mean_of(predicted);
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    const double a = truth[i] - mean_a, b = predicted[i] - mean_b;
    aa += a * a;
    bb += b * b;
    ab += a * b;
  }
  const double scale = std::sqrt(aa) * std::sqrt(bb);
  return scale > 0 ? Value(std::clamp(ab / scale, -1.0, 1.0)) : std::nullopt;
}

std::vector<ReliabilityBin> reliability(std::span<const int> truth, std::span<const double> probabilities,
                                        int classes) {
  constexpr int kBins = 10;
  std::vector<ReliabilityBin> bins(kBins);
  std::vector<double> confidence(kBins), right(kBins);
  for (int b = 0; b < kBins; ++b) {
    bins[static_cast<size_t>(b)].low = b / static_cast<double>(kBins);
    bins[static_cast<size_t>(b)].high = (b + 1) / static_cast<double>(kBins);
  }
  const std::vector<int> predicted = predicted_classes(probabilities, classes);
  for (size_t i = 0; i < truth.size(); ++i) {
    const double top = probabilities[i * static_cast<size_t>(classes) + static_cast<size_t>(predicted[i])];
    size_t b = 0;
    while (b + 1 < kBins && top > bins[b].high) {
      ++b;
    }
    ++bins[b].n;
    confidence[b] += top;
    right[b] += truth[i] == predicted[i] ? 1 : 0;
  }
  for (size_t b = 0; b < kBins; ++b) {
    if (bins[b].n > 0) {
      bins[b].confidence = confidence[b] / static_cast<double>(bins[b].n);
      bins[b].accuracy = right[b] / static_cast<double>(bins[b].n);
    }
  }
  return bins;
}

Value mean_of_defined(std::span<const Value> values) {
  double sum = 0, n = 0;
  for (const Value& value : values) {
    sum += value.value_or(0);
    n += value ? 1 : 0;
  }
  return n > 0 ? Value(sum / n) : std::nullopt;
}

}  // namespace slim::evaluate
