// SPDX-License-Identifier: Apache-2.0
#include "train/pretraining.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "small_set.h"

namespace slim::train {
namespace {

using model::testing::small_clips;
using model::testing::small_set;

PretrainingOptions tiny(Objective objective, int64_t steps = 8) {
  return {.objective = objective,
          .jepa = {.encoder = model::encoder_preset("tiny"),
                   .predictor = model::predictor_preset("tiny"),
                   .tokens = &small_set()},
          .schedule = {.peak = 1e-3, .floor = 1e-5, .steps = steps, .warmup_steps = 1},
          .ema = 0.95,
          .verdict = {.width = 128, .warmup_steps = 1, .patience = 20},
          .seed = 4};
}

PretrainingBatch batch(std::vector<uint64_t> positions) {
  std::vector<at::Tensor> clips;
  for (const uint64_t position : positions) {
    clips.push_back(small_clips(1, "clip" + std::to_string(position)).to(at::kHalf));
  }
  return {.clips = at::cat(clips), .positions = std::move(positions)};
}

TEST(Pretraining, ALossFallsOnTheSameClips) {
  for (const Objective objective : {Objective::Jepa, Objective::Mae}) {
    PretrainingOptions options = tiny(objective, 30);
    options.regions.time_blocks = {2, 2};
    Pretraining training(options);
    double first = 0, last = 0;
    for (uint64_t step = 0; step < 30; ++step) {
      training.accumulate(batch({0, 1}), 0, 0, true);
      const StepReport report = training.finish_step();
      ASSERT_TRUE(report.finite);
      EXPECT_EQ(report.monitors.has_value(), objective == Objective::Jepa);
      (step == 0 ? first : last) = report.losses.loss;
    }
    EXPECT_LT(last, 0.9 * first);
  }
}

TEST(Pretraining, AccumulationEqualsOneBatch) {
  for (const Objective objective : {Objective::Jepa, Objective::Mae}) {
    Pretraining whole(tiny(objective)), parts(tiny(objective));
    whole.accumulate(batch({0, 1, 2}), 3, 1, true);
    parts.accumulate(batch({0}), 3, 1, true);
    parts.accumulate(batch({1, 2}), 3, 1, true);
    const StepReport a = whole.finish_step(), b = parts.finish_step();
    EXPECT_NEAR(a.losses.loss, b.losses.loss, 1e-5 * a.losses.loss);
    EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-4 * a.gradient_norm);
    if (objective == Objective::Jepa) {
      EXPECT_NEAR(a.losses.regions[2], b.losses.regions[2], 1e-5);
      EXPECT_NEAR(a.monitors->effective_rank, b.monitors->effective_rank, 1e-3);
    }
  }
}

TEST(Pretraining, IsTheSameBitForBitAgain) {
  Pretraining one(tiny(Objective::Jepa)), again(tiny(Objective::Jepa));
  for (uint64_t step = 0; step < 3; ++step) {
    for (Pretraining* training : {&one, &again}) {
      training->accumulate(batch({2 * step, 2 * step + 1}), 0, step, false);
      training->finish_step();
    }
  }
  for (const auto& [key, parameter] : one.exported(true)) {
    EXPECT_TRUE(at::equal(parameter, again.exported(true).at(key))) << key;
  }
}

TEST(Pretraining, ResumedEqualsUninterruptedBitForBit) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const auto step = [](Pretraining& training, uint64_t k) {
      training.accumulate(batch({2 * k, 2 * k + 1}), 0, k, true);
      return training.finish_step();
    };
    Pretraining straight(tiny(Objective::Jepa), at::kCPU, type), first(tiny(Objective::Jepa), at::kCPU, type);
    for (uint64_t k = 0; k < 4; ++k) {
      step(straight, k);
    }
    step(first, 0);
    step(first, 1);
    Pretraining second(tiny(Objective::Jepa), at::kCPU, type);
    model::copy_values(first.state(), second.state());
    second.resume(first.optimiser().steps_taken(), first.watch().state());
    step(second, 2);
    step(second, 3);
    const Parameters expected = straight.state();
    EXPECT_EQ(expected.size(), second.state().size());
    for (const auto& [key, tensor] : second.state()) {
      EXPECT_TRUE(at::equal(tensor, expected.at(key))) << key;
    }
    EXPECT_EQ(straight.watch().state().consecutive, second.watch().state().consecutive);
  }
}

TEST(Pretraining, SeveralMasksAClipAreMonitoredOnce) {
  PretrainingOptions options = tiny(Objective::Jepa);
  options.jepa.target_input = model::TargetInput::Full;
  options.masks_per_clip = 3;
  Pretraining training(options);
  training.accumulate(batch({0}), 0, 0, true);
  const StepReport report = training.finish_step();
  EXPECT_TRUE(std::isnan(report.monitors->input_share)) << "one clip shares no cell with another";
  EXPECT_TRUE(report.finite);
}

TEST(Pretraining, ExportsTheTargetsEncoderWithThePredictor) {
  Pretraining training(tiny(Objective::Jepa));
  training.accumulate(batch({0, 1}), 0, 0, false);
  training.finish_step();
  const Parameters target = training.exported(true), online = training.exported(false);
  EXPECT_EQ(target.size(), online.size());
  EXPECT_FALSE(at::equal(target.at("blocks.0.attn.qkv.weight"), online.at("blocks.0.attn.qkv.weight")));
  EXPECT_TRUE(at::equal(target.at("decoder_embed.weight"), online.at("decoder_embed.weight")));
  EXPECT_TRUE(at::equal(target.at("blocks.0.attn.qkv.weight"),
                        training.ema()->averages().at("blocks.0.attn.qkv.weight")));
}

TEST(Pretraining, ValidationUsesTheMasksOfEpochZeroAndChangesNothing) {
  Pretraining training(tiny(Objective::Jepa));
  training.validate(batch({0, 1}), 0);
  const PretrainingLosses before = training.finish_validation();
  training.validate(batch({0, 1}), 0);
  EXPECT_EQ(training.finish_validation().loss, before.loss);
  training.accumulate(batch({0, 1}), 0, 0, false);
  const StepReport report = training.finish_step();
  EXPECT_NEAR(report.losses.loss, before.loss, 1e-4 * before.loss) << "the same masks and parameters";
}

TEST(Pretraining, SeesANonFiniteLoss) {
  Pretraining training(tiny(Objective::Jepa));
  PretrainingBatch bad = batch({0, 1});
  bad.clips.fill_(std::nan(""));
  training.accumulate(bad, 0, 0, true);
  EXPECT_FALSE(training.finish_step().finite);
}

TEST(Pretraining, Bfloat16NetworksFollowTheFloat32Ones) {
  Pretraining full(tiny(Objective::Jepa)), half(tiny(Objective::Jepa), at::kCPU, at::kBFloat16);
  for (uint64_t step = 0; step < 2; ++step) {
    double losses[2];
    size_t i = 0;
    for (Pretraining* training : {&full, &half}) {
      training->accumulate(batch({0, 1}), 0, step, true);
      losses[i++] = training->finish_step().losses.loss;
    }
    EXPECT_NEAR(losses[1], losses[0], 2e-2 * losses[0]);
  }
  EXPECT_EQ(half.online().at("encoder_norm.weight").scalar_type(), at::kFloat);
}

TEST(Pretraining, RefusesUnknownObjectivesAndUnplacedClips) {
  EXPECT_THROW(objective_from("gan"), Error);
  Pretraining training(tiny(Objective::Jepa));
  PretrainingBatch bad = batch({0, 1});
  bad.positions.pop_back();
  EXPECT_THROW(training.accumulate(bad, 0, 0, false), Error);
}

}  // namespace
}  // namespace slim::train
