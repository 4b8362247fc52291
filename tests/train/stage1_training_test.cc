// SPDX-License-Identifier: Apache-2.0
#include "train/stage1_training.h"

#include <gtest/gtest.h>

#include <cmath>

#include "roi_pieces.h"

namespace slim::train {
namespace {

using model::RoiPiece;
using model::testing::Matrix;

constexpr int64_t kRois = 40, kFrames = 60;

/// Regions that share slow waves: what is masked can be told from what is seen.
Matrix wavy(uint64_t seed) {
  Stream stream(seed, "waves");
  const double side = stream.bounded(2) == 0 ? 1.0 : -1.0;  // of the run: one visible token tells it
  std::vector<double> rows;
  for (int64_t roi = 0; roi < kRois; ++roi) {
    for (int64_t t = 0; t < kFrames; ++t) {
      const double sign = roi % 2 == 0 ? 1.0 : -1.0;
      rows.push_back(sign * side * std::sin(0.25 * static_cast<double>(t)) + 0.1 * stream.normal());
    }
  }
  return model::testing::standardised(rows, kRois, kFrames);
}

Stage1Options options(int64_t steps) {
  return {.network = model::global_mae_preset("tiny", kRois),
          .schedule = {.peak = 2e-3, .floor = 1e-5, .steps = steps, .warmup_steps = steps / 10},
          .seed = 3};
}

/// Does step `step` on four new runs.
Stage1Report do_step(Stage1Training& training, uint64_t step) {
  std::vector<Matrix> runs;
  std::vector<RoiPiece> pieces;
  for (uint64_t i = 0; i < 4; ++i) {
    runs.push_back(wavy(100 * step + i));
  }
  for (const Matrix& run : runs) {
    pieces.push_back(run.whole());
  }
  training.accumulate(pieces, step, 0);
  return training.finish_step();
}

bool equal(const Parameters& a, const Parameters& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.equal(y.second);
  });
}

TEST(Stage1Training, LearnsToTellTheMaskedFromTheVisible) {
  constexpr int64_t kSteps = 300;
  Stage1Training training(options(kSteps));
  const Matrix unseen = wavy(7);
  const RoiPiece piece = unseen.whole();
  training.validate(std::span(&piece, 1), 0);
  const Stage1Losses before = training.finish_validation();
  EXPECT_LT(before.skill, 0.1);
  for (uint64_t step = 0; step < kSteps; ++step) {
    ASSERT_TRUE(do_step(training, step).finite);
  }
  training.validate(std::span(&piece, 1), 0);
  const Stage1Losses after = training.finish_validation();
  EXPECT_LT(after.loss, 0.7 * before.loss);
  EXPECT_GT(after.skill, 0.3);
}

TEST(Stage1Training, MicroBatchesMakeTheStepOfTheWholeBatch) {
  const Matrix a = wavy(1), b = wavy(2);
  Stage1Training whole(options(5)), parts(options(5));
  const RoiPiece pieces[] = {a.whole(), b.piece(3, 40)};
  whole.accumulate(pieces, 2, 10);
  parts.accumulate(std::span(pieces, 1), 2, 10);
  parts.accumulate(std::span(pieces + 1, 1), 2, 11);
  const Stage1Report one = whole.finish_step(), two = parts.finish_step();
  EXPECT_NEAR(one.losses.loss, two.losses.loss, 1e-6);
  EXPECT_NEAR(one.gradient_norm, two.gradient_norm, 1e-4 * one.gradient_norm);
  EXPECT_EQ(one.rate, two.rate);
}

TEST(Stage1Training, AResumedRunIsTheUninterruptedOneBitForBit) {
  Stage1Training straight(options(6)), first(options(6)), second(options(6));
  for (uint64_t step = 0; step < 6; ++step) {
    do_step(straight, step);
  }
  for (uint64_t step = 0; step < 3; ++step) {
    do_step(first, step);
  }
  const Parameters from = first.state(), to = second.state();
  EXPECT_FALSE(equal(from, to));
  model::copy_values(from, to);
  second.resume(first.optimiser().steps_taken());
  for (uint64_t step = 3; step < 6; ++step) {
    do_step(second, step);
  }
  EXPECT_TRUE(equal(straight.state(), second.state()));
}

TEST(Stage1Training, ExportsTheTensorsOfAModelFolder) {
  const Stage1Training training(options(1));
  const std::vector<TensorSpec> listed = model::global_mae_tensors(training.network()->options());
  ASSERT_EQ(training.exported().size(), listed.size());
  for (const TensorSpec& tensor : listed) {
    EXPECT_EQ(training.exported().at(tensor.name).sizes(), at::IntArrayRef(tensor.shape)) << tensor.name;
  }
}

}  // namespace
}  // namespace slim::train
