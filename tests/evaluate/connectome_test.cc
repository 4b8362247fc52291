// SPDX-License-Identifier: Apache-2.0
#include "evaluate/connectome.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/seed.h"
#include "evaluate/aggregate.h"
#include "evaluate/metrics.h"

namespace slim::evaluate {
namespace {

TEST(Connectome, HoldsTheCorrelationOfEveryPairInOrder) {
  constexpr int64_t kRois = 7, kFrames = 50;
  Stream stream(61, "connectome_test");
  std::vector<double> series;
  for (int64_t i = 0; i < kRois * kFrames; ++i) {
    series.push_back(stream.normal() + 3);
  }
  const std::vector<double> features = connectome_features(series, kRois, kFrames);
  ASSERT_EQ(features.size(), 21u);
  size_t place = 0;
  for (int64_t i = 0; i < kRois; ++i) {
    for (int64_t j = i + 1; j < kRois; ++j) {
      const auto row = [&](int64_t k) {
        return std::span(series).subspan(static_cast<size_t>(k * kFrames), kFrames);
      };
      EXPECT_NEAR(std::tanh(features[place++]), *pearson_r(row(i), row(j)), 1e-12);
    }
  }
}

TEST(Connectome, EqualRowsAreClippedAndInvalidRowsAreZero) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> series{1, 2,   3, 4,  //
                                   2, 4,   6, 8,  //
                                   4, 3,   2, 1,  //
                                   5, 5,   5, 5,  //
                                   1, nan, 3, 4};
  const std::vector<double> features = connectome_features(series, 5, 4);
  EXPECT_NEAR(features[0], std::atanh(0.999999), 1e-9);
  EXPECT_NEAR(features[1], -std::atanh(0.999999), 1e-9);
  for (const size_t invalid : {2, 3, 5, 6, 7, 8, 9}) {
    EXPECT_EQ(features[invalid], 0) << invalid;
  }
  EXPECT_TRUE(connectome_features(std::vector<double>{1, 2}, 1, 2).empty());
  EXPECT_THROW(connectome_features(series, 4, 4), Error);
  EXPECT_EQ(connectome_features(std::vector<double>(601 * 2), 601, 2).size(), 180300u);
}

TEST(VoxelMean, IsTheMeanOverFramesOfValidVoxels) {
  std::vector<uint8_t> valid(24, 0xff);  // 3 tokens
  valid[0] = 0xfe;                       // voxel 0 of token 0 is out
  std::fill(valid.begin() + 16, valid.end(), uint8_t{0});
  VoxelMean mean(192, valid);
  EXPECT_EQ(mean.features(), (std::vector<double>{0, 0, 0})) << "before any frame";
  std::vector<float> frame(192, 1.0f);
  frame[0] = 1000;
  frame[64] = 65;
  mean.add(frame);
  std::fill(frame.begin(), frame.end(), 3.0f);
  mean.add(frame);
  EXPECT_EQ(mean.features(), (std::vector<double>{2, 2.5, 0}));
  EXPECT_THROW(mean.add(std::span(frame).first(64)), Error);
  EXPECT_THROW(VoxelMean(100, valid), Error);
}

TEST(Aggregate, LogitsAreAveragedBeforeTheSoftmax) {
  const std::vector<double> logits{4, 0, 0, 2};
  const Aggregate result = aggregate_classes(logits, 2);
  EXPECT_EQ(result.n_clips, 2);
  EXPECT_EQ(result.prediction, 0);
  EXPECT_NEAR(result.probabilities[0], 1 / (1 + std::exp(-1.0)), 1e-15);
  const double a = 1 / (1 + std::exp(-4.0)), b = 1 / (1 + std::exp(2.0));
  EXPECT_NEAR(*result.sd, (a - b) / 2, 1e-15) << "of the predicted class's probability";
  EXPECT_EQ(aggregate_classes(std::vector<double>{1, 1}, 2).prediction, 0) << "ties";
  EXPECT_FALSE(aggregate_classes(std::vector<double>{1, 1}, 2).sd.has_value());
  EXPECT_THROW(aggregate_classes({}, 2), Error);
  EXPECT_THROW(aggregate_classes(std::vector<double>{1, 2, 3}, 2), Error);
}

TEST(Aggregate, NumbersComeBackInTheTargetsUnits) {
  const Aggregate result = aggregate_numbers(std::vector<double>{-1, 1, 3}, 50, 10);
  EXPECT_DOUBLE_EQ(result.prediction, 60);
  EXPECT_DOUBLE_EQ(*result.sd, 10 * std::sqrt(8.0 / 3));
  EXPECT_FALSE(aggregate_numbers(std::vector<double>{1}, 50, 10).sd.has_value());
  EXPECT_THROW(aggregate_numbers({}, 0, 1), Error);
}

}  // namespace
}  // namespace slim::evaluate
