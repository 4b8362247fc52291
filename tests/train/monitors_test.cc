// SPDX-License-Identifier: Apache-2.0
#include "train/monitors.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_svd.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "generated.h"

namespace slim::train {
namespace {

using model::testing::generated;

std::vector<int64_t> same_cells(int64_t clips, int64_t cells) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < clips * cells; ++i) {
    all.push_back(i % cells);
  }
  return all;
}

TEST(Monitors, IdenticalRowsAreCollapsed) {
  const at::Tensor rows = generated("row", {1, 128}, 1.0).expand({60, 128});
  const Monitors monitors = monitor_rows(rows, rows, same_cells(2, 30));
  EXPECT_NEAR(monitors.target_std, 0.0, 1e-9);
  EXPECT_NEAR(monitors.predicted_std, 0.0, 1e-9);
  EXPECT_NEAR(monitors.cosine, 1.0, 1e-9);
  EXPECT_NEAR(monitors.effective_rank, 1.0, 1e-4);
  CollapseWatch watch({.width = 128, .patience = 20});
  for (int64_t step = 0; step < 19; ++step) {
    EXPECT_NE(watch.add(step, monitors), Verdict::Collapsed);
  }
  EXPECT_EQ(watch.add(19, monitors), Verdict::Collapsed);
  EXPECT_EQ(watch.add(20, {1, 1, 0, 100, 1}), Verdict::Collapsed) << "for good";
}

TEST(Monitors, RowsThatDependOnTheCellAloneHaveNoInputShare) {
  const at::Tensor of_cells = generated("cells", {40, 64}, 1.0);
  const at::Tensor rows = at::cat({of_cells, of_cells, of_cells});
  const Monitors monitors = monitor_rows(rows, rows, same_cells(3, 40));
  EXPECT_NEAR(monitors.input_share, 0.0, 1e-12);
  EXPECT_GT(monitors.target_std, 0.3);
  EXPECT_LT(std::abs(monitors.cosine), 0.1);
}

TEST(Monitors, NoiseHasAllOfItsVarianceFromTheInput) {
  const at::Tensor rows = generated("noise", {400, 16}, 1.0);
  EXPECT_NEAR(monitor_rows(rows, rows, same_cells(4, 100)).input_share, 1.0, 0.05);
}

TEST(Monitors, InputShareEqualsALoop) {
  const at::Tensor rows = generated("loop", {7, 3}, 1.0).to(at::kDouble);
  const std::vector<int64_t> cells{4, 5, 4, 6, 5, 4, 9};  // 6 and 9 stand alone: left out
  const auto mean_of = [&](const std::vector<int64_t>& chosen) {
    at::Tensor sum = rows[chosen[0]].clone();
    for (size_t i = 1; i < chosen.size(); ++i) {
      sum = sum + rows[chosen[i]];
    }
    return sum / static_cast<double>(chosen.size());
  };
  const std::vector<int64_t> four{0, 2, 5}, five{1, 4}, all{0, 2, 5, 1, 4};
  double within = 0, total = 0;
  for (const int64_t i : four) {
    within += (rows[i] - mean_of(four)).square().sum().item<double>();
  }
  for (const int64_t i : five) {
    within += (rows[i] - mean_of(five)).square().sum().item<double>();
  }
  for (const int64_t i : all) {
    total += (rows[i] - mean_of(all)).square().sum().item<double>();
  }
  EXPECT_NEAR(monitor_rows(rows, rows, cells).input_share, (within / (5 - 2)) / (total / 4), 1e-12);
}

TEST(Monitors, InputShareIsUndefinedForOneClip) {
  const at::Tensor rows = generated("one", {30, 8}, 1.0);
  EXPECT_TRUE(std::isnan(monitor_rows(rows, rows, same_cells(1, 30)).input_share));
}

TEST(Monitors, PlusAndMinusEveryAxisHasFullRank) {
  for (const int64_t width : {16, 128}) {
    const at::Tensor rows = at::cat({at::eye(width), -at::eye(width)});
    const Monitors monitors = monitor_rows(rows, rows, same_cells(2, width));
    EXPECT_NEAR(monitors.effective_rank, static_cast<double>(width), 1e-4);
    EXPECT_NEAR(monitors.cosine, -1.0 / (2.0 * static_cast<double>(width) - 1), 1e-9);
  }
}

TEST(Monitors, RankEqualsTheEntropyOfSingularValues) {
  for (const int64_t n : {20, 200}) {  // fewer rows than channels, and more
    const at::Tensor rows = generated("rank", {n, 64}, 1.0).to(at::kDouble);
    const at::Tensor s = std::get<1>(at::linalg_svd(rows - rows.mean(0), false));
    const at::Tensor p = s / s.sum();
    const double expected = std::exp(-(p * (p + 1e-300).log()).sum().item<double>());
    EXPECT_NEAR(monitor_rows(rows, rows, same_cells(2, n / 2)).effective_rank, expected, 1e-4 * expected);
  }
}

TEST(Monitors, ManyRowsAreStridedEvenly) {
  // Row i has value i: of 4,096 rows every second is looked at.
  const at::Tensor rows = at::cat({generated("x", {4096, 1}, 0.0), generated("y", {4096, 1}, 1.0)}, 1);
  const at::Tensor half = rows.slice(0, 0, 4096, 2);
  const Monitors all = monitor_rows(rows, rows, same_cells(2, 2048)),
                 strided = monitor_rows(half, half, same_cells(2, 1024));
  EXPECT_DOUBLE_EQ(all.target_std, strided.target_std);
  EXPECT_DOUBLE_EQ(all.cosine, strided.cosine);
}

TEST(Verdict, AnInterruptedAlarmStartsAgain) {
  CollapseWatch watch({.width = 100, .patience = 3});
  const Monitors healthy{1, 1, 0.1, 50, 0.5}, alarming{1e-4, 1, 0.1, 50, 0.5},
      positional{1, 1, 0.1, 50, 1e-5};
  EXPECT_EQ(watch.add(0, alarming), Verdict::Healthy);
  EXPECT_EQ(watch.add(1, positional), Verdict::Narrow);
  EXPECT_EQ(watch.add(2, healthy), Verdict::Healthy);
  EXPECT_EQ(watch.add(3, alarming), Verdict::Healthy);
  CollapseWatch resumed({.width = 100, .patience = 3});
  resumed.restore(watch.state());
  resumed.add(4, alarming);
  EXPECT_EQ(resumed.add(5, positional), Verdict::Collapsed);
}

TEST(Verdict, NarrowIsSaidAfterTheWarmUpForEachReason) {
  const Monitors healthy{1, 1, 0.1, 50, 0.5};
  for (int reason = 0; reason < 4; ++reason) {
    Monitors bad = healthy;
    (reason == 0   ? bad.cosine
     : reason == 1 ? bad.effective_rank
     : reason == 2 ? bad.input_share
                   : bad.predicted_std) = reason == 0   ? 0.96
                                          : reason == 1 ? 1.9
                                          : reason == 2 ? 0.009
                                                        : 0.04;
    CollapseWatch watch({.width = 100, .warmup_steps = 5, .patience = 100});
    EXPECT_EQ(watch.add(4, bad), Verdict::Healthy);
    EXPECT_EQ(watch.add(5, bad), Verdict::Narrow) << reason;
    EXPECT_EQ(watch.add(6, healthy), Verdict::Healthy);
  }
  EXPECT_EQ(name_of(Verdict::Narrow), "narrow");
  EXPECT_EQ(name_of(Verdict::Collapsed), "collapsed");
}

}  // namespace
}  // namespace slim::train
