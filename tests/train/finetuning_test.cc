// SPDX-License-Identifier: Apache-2.0
// Steps of fine-tuning: losses by hand, rates of layers, micro-batches, resumed steps.
#include "train/finetuning.h"

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "model/initialise.h"
#include "small_set.h"

namespace slim::train {
namespace {

using model::testing::small_set;

FinetuningOptions options(int64_t classes = 2, int64_t steps = 40) {
  return {.classes = classes,
          .tokens = &small_set(),
          .schedule = {.peak = 1e-3, .floor = 1e-6, .steps = steps},
          .head_schedule = {.peak = 1e-2, .floor = 1e-6, .steps = steps},
          .seed = 5};
}

model::HieraEncoder encoder() {
  model::HieraEncoder made(model::encoder_preset("tiny"));
  model::init_parameters(made, 3);
  return made;
}

FinetuningBatch batch(std::vector<double> truth, const std::string& name = "clips") {
  std::vector<uint64_t> positions;
  for (size_t i = 0; i < truth.size(); ++i) {
    positions.push_back(i);
  }
  const auto clips = static_cast<int64_t>(truth.size());
  return {.clips = model::testing::small_clips(clips, name).to(at::kHalf),
          .truth = std::move(truth),
          .positions = positions};
}

TEST(HeadLosses, AreThoseOfAPencil) {
  const at::Tensor logits = at::tensor({0.0, std::log(3.0), 2.0, 2.0}, at::kDouble).view({2, 2});
  const std::vector<double> truth{0, 1};
  const at::Tensor plain = head_losses(logits, truth, options());
  EXPECT_NEAR(plain[0].item<double>(), std::log(4.0), 1e-12);  // probability 1/4
  EXPECT_NEAR(plain[1].item<double>(), std::log(2.0), 1e-12);
  FinetuningOptions weighted = options();
  weighted.class_weights = {0.5, 3};
  const at::Tensor heavy = head_losses(logits, truth, weighted);
  EXPECT_NEAR(heavy[0].item<double>(), 0.5 * std::log(4.0), 1e-12);
  EXPECT_NEAR(heavy[1].item<double>(), 3 * std::log(2.0), 1e-12);
  const std::vector<double> numbers{1.5, -1};
  const at::Tensor squares =
      head_losses(at::tensor({1.0, 1.0}, at::kDouble).view({2, 1}), numbers, options(0));
  EXPECT_NEAR(squares[0].item<double>(), 0.25, 1e-12);
  EXPECT_NEAR(squares[1].item<double>(), 4, 1e-12);
  const std::vector<double> strange{2, 0};
  EXPECT_THROW(head_losses(logits, strange, options()), Error);
  EXPECT_THROW(head_losses(logits, truth, options(3)), Error);
}

TEST(Finetuning, EachLayerMovesAtItsOwnRate) {
  FinetuningOptions call = options();
  call.optimiser.groups.weight_decay = 0;
  Finetuning tuning(call, encoder());
  Parameters before;
  for (const auto& [key, tensor] : tuning.exported()) {
    before[key] = tensor.clone();
  }
  tuning.accumulate(batch({0, 1}), 0);
  const FinetuningReport report = tuning.finish_step();
  EXPECT_TRUE(report.finite);
  EXPECT_NEAR(report.rate, 1e-3, 1e-12);
  EXPECT_NEAR(report.head_rate, 1e-2, 1e-12);
  // The first step of Adam moves a weight by its rate, whatever the size of the gradient.
  const int64_t n = model::encoder_preset("tiny").blocks();
  const auto moved = [&](const std::string& key) {
    return (tuning.exported().at(key) - before.at(key)).abs().max().item<double>();
  };
  EXPECT_NEAR(moved("head.projection.weight"), 1e-2, 1e-4);
  EXPECT_NEAR(moved("encoder_norm.weight"), 1e-3, 2e-5);
  const std::string last = std::to_string(n - 1);
  EXPECT_NEAR(moved("blocks." + last + ".mlp.fc2.weight"), 1e-3 * 0.75, 2e-5);
  EXPECT_NEAR(moved("blocks.0.mlp.fc2.weight"), 1e-3 * std::pow(0.75, static_cast<double>(n)), 2e-5);
  EXPECT_NEAR(moved("patch_embed.proj.weight"), 1e-3 * std::pow(0.75, static_cast<double>(n + 1)), 2e-5);
}

TEST(Finetuning, LearnsClassesAndNumbersThatThePatternTells) {
  for (const int64_t classes : {2, 0}) {
    Finetuning tuning(options(classes, 60), encoder());
    const FinetuningBatch known = batch({0, 1, 1, 0});
    double first = 0, last = 0;
    for (uint64_t step = 0; step < 60; ++step) {
      tuning.accumulate(known, step);
      last = tuning.finish_step().loss;
      first = step == 0 ? last : first;
    }
    EXPECT_LT(last, 0.2 * first) << classes;
    const at::Tensor said = tuning.predict(known.clips);
    ASSERT_EQ(said.size(1), classes == 0 ? 1 : 2);
    for (int64_t i = 0; i < 4; ++i) {
      const double one =
          classes == 0 ? said[i][0].item<double>() - 0.5 : (said[i][1] - said[i][0]).item<double>();
      EXPECT_EQ(one > 0, known.truth[static_cast<size_t>(i)] == 1) << classes << " " << i;
    }
  }
}

TEST(Finetuning, MicroBatchesMakeTheStepOfTheWholeBatch) {
  const FinetuningBatch all = batch({0, 1, 1});
  Finetuning whole(options(), encoder()), parts(options(), encoder());
  whole.accumulate(all, 2);
  for (int64_t i = 0; i < 3; ++i) {
    const auto at = static_cast<size_t>(i);
    parts.accumulate(
        {.clips = all.clips.narrow(0, i, 1), .truth = {all.truth[at]}, .positions = {all.positions[at]}}, 2);
  }
  const FinetuningReport one = whole.finish_step(), three = parts.finish_step();
  EXPECT_NEAR(one.loss, three.loss, 1e-6);
  EXPECT_NEAR(one.gradient_norm, three.gradient_norm, 1e-4 * one.gradient_norm);
}

TEST(Finetuning, PathsAreDroppedInTrainingAloneAndTheHeadStartsFromTheSeed) {
  FinetuningOptions still = options(), other = options();
  still.drop_path = 0;
  other.seed = 6;
  const FinetuningBatch known = batch({0, 1});
  Finetuning dropping(options(), encoder()), keeping(still, encoder()), differing(other, encoder());
  EXPECT_TRUE(at::equal(dropping.predict(known.clips), keeping.predict(known.clips)));
  EXPECT_FALSE(at::equal(dropping.predict(known.clips), differing.predict(known.clips)));
  bool differ = false;
  for (uint64_t epoch = 0; epoch < 4; ++epoch) {
    dropping.accumulate(known, epoch);
    keeping.accumulate(known, epoch);
    differ = differ || dropping.finish_step().loss != keeping.finish_step().loss;
  }
  EXPECT_TRUE(differ);
}

TEST(Finetuning, AResumedRunIsTheUninterruptedOneBitForBit) {
  at::set_num_threads(1);
  Finetuning straight(options(), encoder()), first(options(), encoder()), second(options(), encoder());
  const auto step = [](Finetuning& tuning, uint64_t epoch) {
    tuning.accumulate(batch({0, 1}, "clips" + std::to_string(epoch)), epoch);
    tuning.finish_step();
  };
  for (uint64_t epoch = 0; epoch < 6; ++epoch) {
    step(straight, epoch);
    step(epoch < 3 ? first : second, epoch);
    if (epoch == 2) {
      model::copy_values(first.state(), second.state());
      second.resume(3);
    }
  }
  for (const auto& [key, tensor] : straight.exported()) {
    EXPECT_TRUE(at::equal(tensor, second.exported().at(key))) << key;
  }
}

}  // namespace
}  // namespace slim::train
