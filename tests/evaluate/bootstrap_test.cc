// SPDX-License-Identifier: Apache-2.0
#include "evaluate/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/seed.h"

namespace slim::evaluate {
namespace {

Repeat mean_of(const std::vector<double>& values, std::vector<int32_t> atoms) {
  return {std::move(atoms), [&values](std::span<const int32_t> rows) {
            double sum = 0;
            for (const int32_t r : rows) {
              sum += values[static_cast<size_t>(r)];
            }
            return std::vector<Value>{rows.empty() ? std::nullopt
                                                   : Value(sum / static_cast<double>(rows.size()))};
          }};
}

std::vector<Value> first_statistic(const std::vector<std::vector<Value>>& draws) {
  std::vector<Value> values;
  for (const auto& draw : draws) {
    values.push_back(draw.front());
  }
  return values;
}

std::vector<int32_t> own_atoms(size_t n) {
  std::vector<int32_t> atoms(n);
  std::iota(atoms.begin(), atoms.end(), 0);
  return atoms;
}

TEST(Bootstrap, ADrawTakesAsManyAtomsAsThereAreAndDependsOnSeedAndNumberAlone) {
  for (const int64_t n : {1, 2, 40}) {
    const std::vector<int> counts = draw_counts(5, 3, n);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), int64_t{0}), n);
    EXPECT_EQ(counts, draw_counts(5, 3, n));
  }
  EXPECT_NE(draw_counts(5, 3, 40), draw_counts(5, 4, 40));
  EXPECT_NE(draw_counts(5, 3, 40), draw_counts(6, 3, 40));
}

TEST(Bootstrap, IntervalOfAMeanHasTheWidthOfTheory) {
  Stream stream(21, "bootstrap_test");
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) {
    values.push_back(stream.normal());
  }
  const Repeat repeat = mean_of(values, own_atoms(values.size()));
  const Interval interval =
      percentile_interval(first_statistic(bootstrap_draws(std::span(&repeat, 1), 400, 1)));
  EXPECT_NEAR(*interval.high - *interval.low, 2 * 1.96 / 20, 0.03);
  EXPECT_LT(*interval.low, 0.12);
  EXPECT_GT(*interval.high, -0.12);
}

TEST(Bootstrap, GroupsAreDrawnWholeSoTheirIntervalIsWider) {
  // Members of a group are equal: 10 groups of 10 hold no more than 10 participants do.
  Stream stream(22, "groups");
  std::vector<double> values;
  std::vector<int32_t> groups;
  for (int g = 0; g < 10; ++g) {
    const double value = stream.normal();
    for (int i = 0; i < 10; ++i) {
      values.push_back(value);
      groups.push_back(g);
    }
  }
  const Repeat alone = mean_of(values, own_atoms(100)), grouped = mean_of(values, groups);
  const Interval narrow = percentile_interval(first_statistic(bootstrap_draws(std::span(&alone, 1), 100, 1)));
  const Interval wide = percentile_interval(first_statistic(bootstrap_draws(std::span(&grouped, 1), 10, 1)));
  EXPECT_GT(*wide.high - *wide.low, 2 * (*narrow.high - *narrow.low));
}

TEST(Bootstrap, OneDrawServesAllRepeatsAndTheStatisticIsTheirMean) {
  const std::vector<double> a{0, 1, 2, 3}, b{10, 11, 12, 13};
  const std::vector<Repeat> both{mean_of(a, own_atoms(4)), mean_of(b, own_atoms(4))};
  const auto joint = bootstrap_draws(both, 4, 9, 50),
             of_a = bootstrap_draws(std::span(both).first(1), 4, 9, 50);
  for (size_t d = 0; d < joint.size(); ++d) {
    EXPECT_DOUBLE_EQ(*joint[d][0], *of_a[d][0] + 5);
  }
}

TEST(Bootstrap, PercentilesAreLinearBetweenOrderStatistics) {
  std::vector<Value> draws;
  for (int i = 100; i >= 0; --i) {
    draws.emplace_back(i);
  }
  const Interval interval = percentile_interval(draws);
  EXPECT_DOUBLE_EQ(*interval.low, 2.5);
  EXPECT_DOUBLE_EQ(*interval.high, 97.5);
  draws.insert(draws.end(), 102, std::nullopt);
  EXPECT_FALSE(percentile_interval(draws).low.has_value()) << "fewer than half of the draws are defined";
  EXPECT_FALSE(percentile_interval({}).low.has_value());
}

TEST(Bootstrap, POfADifferenceIsTwoSidedAndNeverZero) {
  const std::vector<Value> high(2000, Value(2.0)), low(2000, Value(1.0));
  EXPECT_DOUBLE_EQ(*paired_difference(high, low).p, 1.0 / 2000);
  EXPECT_DOUBLE_EQ(*paired_difference(low, high).p, 1.0 / 2000);
  EXPECT_DOUBLE_EQ(*paired_difference(low, low).p, 1.0);
  std::vector<Value> mixed(2000, Value(2.0));
  std::fill(mixed.begin(), mixed.begin() + 30, Value(0.0));
  EXPECT_DOUBLE_EQ(*paired_difference(mixed, low).p, 2 * 30.0 / 2000);
  const std::vector<Value> undefined(2000);
  EXPECT_FALSE(paired_difference(undefined, low).p.has_value());
}

TEST(Bootstrap, HolmMultipliesByWhatIsLeftAndNeverFalls) {
  const std::vector<Value> corrected = holm(std::vector<Value>{0.01, 0.04, std::nullopt, 0.03, 0.9});
  EXPECT_DOUBLE_EQ(*corrected[0], 0.04);
  EXPECT_DOUBLE_EQ(*corrected[3], 0.09);
  EXPECT_DOUBLE_EQ(*corrected[1], 0.09) << "2 x 0.04 would be below its predecessor";
  EXPECT_DOUBLE_EQ(*corrected[4], 0.9);
  EXPECT_FALSE(corrected[2].has_value());
  EXPECT_DOUBLE_EQ(*holm(std::vector<Value>{0.6, 0.7})[0], 1.0);
}

}  // namespace
}  // namespace slim::evaluate
