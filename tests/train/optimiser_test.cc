// SPDX-License-Identifier: Apache-2.0
#include "train/optimiser.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "generated.h"
#include "model/checkpoint/encoder_config.h"
#include "tests/support/code_of.h"
#include "train/ema.h"

namespace slim::train {
namespace {

using model::testing::generated;

TEST(Schedule, PeaksWhereTheWarmUpEndsAndEndsAtTheFloorForAnyAccumulation) {
  for (const int64_t accumulation : {1, 2, 8}) {
    // 100 clips in micro-batches of 16 / accumulation: the schedule sees optimiser steps alone.
    const int64_t clips_per_step = 16 / accumulation * accumulation;
    const int64_t of_epoch = steps_per_epoch(100, clips_per_step);
    EXPECT_EQ(of_epoch, 7);
    const Schedule schedule{
        .peak = 2e-4, .floor = 1e-6, .steps = 40 * of_epoch, .warmup_steps = 5 * of_epoch};
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 1.0, 0), 2e-4 / 35);
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 1.0, 34), 2e-4);
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 1.0, 35), 2e-4) << "the peak at step U";
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 1.0, 279), 1e-6);
    for (int64_t step = 36; step < 280; ++step) {
      EXPECT_LT(learning_rate(schedule, 1.0, step), learning_rate(schedule, 1.0, step - 1));
    }
  }
}

TEST(Schedule, ARateThatSomebodyNamesIsAPositiveNumber) {
  EXPECT_EQ(checked_rate(1e-3), 1e-3);
  for (const double rate : {0.0, -1e-3, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    EXPECT_EQ(test::code_of([&] { checked_rate(rate); }), "SB1002") << rate;
  }
}

TEST(Schedule, AScaledGroupHasItsOwnPeakAndNoFloorAboveIt) {
  const Schedule schedule{.peak = 1e-3, .floor = 1e-5, .steps = 20, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 0.25, 4), 2.5e-4);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 0.25, 19), 1e-5);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1e-4, 19), 1e-7);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1e-4, 10), 1e-7);
}

TEST(Schedule, SurvivesOneStepAndWarmUpAlone) {
  EXPECT_DOUBLE_EQ(learning_rate({.peak = 1e-3, .floor = 1e-5, .steps = 1}, 1.0, 0), 1e-3);
  EXPECT_DOUBLE_EQ(learning_rate({.peak = 1e-3, .floor = 1e-5, .steps = 3, .warmup_steps = 3}, 1.0, 2), 1e-3);
}

TEST(Schedule, MomentumOfTheTargetRisesToOne) {
  EXPECT_DOUBLE_EQ(ema_momentum(0.996, 0, 100), 0.996);
  EXPECT_DOUBLE_EQ(ema_momentum(0.95, 50, 100), 0.975);
  EXPECT_LT(ema_momentum(0.95, 99, 100), 1.0);
}

std::vector<TensorSpec> trained_tensors() {
  const model::EncoderOptions encoder = model::encoder_preset("base");
  std::vector<TensorSpec> all = model::encoder_tensors(encoder);
  for (const auto& more : {model::fusion_tensors(encoder), model::predictor_tensors(encoder, {})}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  all.push_back({.name = "head.projection.weight", .shape = {2, 512}});
  all.push_back({.name = "head.projection.bias", .shape = {2}});
  return all;
}

TEST(Groups, DecayIsForMatricesAlone) {
  for (const TensorSpec& spec : trained_tensors()) {
    const bool exempt = spec.shape.size() == 1 || spec.name.find("pos_embed") != std::string::npos ||
                        spec.name.ends_with("mask_token");
    EXPECT_EQ(group_of(spec.name, {}).weight_decay, exempt ? 0.0 : 0.05) << spec.name;
    EXPECT_EQ(group_of(spec.name, {}).scale, 1.0) << spec.name;
  }
}

TEST(Groups, LayerDecayCountsFromTheOutput) {
  const GroupOptions options{.layer_decay = 0.75, .blocks = 24};
  const auto exponent = [&](const char* key) {
    return std::lround(std::log(group_of(key, options).scale) / std::log(0.75));
  };
  EXPECT_EQ(exponent("head.projection.weight"), 0);
  EXPECT_EQ(exponent("encoder_norm.weight"), 0);
  EXPECT_EQ(exponent("blocks.23.mlp.fc1.weight"), 1);
  EXPECT_EQ(exponent("blocks.9.attn.qkv.bias"), 15);
  EXPECT_EQ(exponent("blocks.0.norm1.weight"), 24);
  EXPECT_EQ(exponent("patch_embed.proj.weight"), 25);
  EXPECT_EQ(exponent("pos_embed_spatial"), 25);
  EXPECT_EQ(exponent("pos_embed_temporal"), 25);
  EXPECT_TRUE(group_of("head.projection.bias", options).head);
  EXPECT_FALSE(group_of("blocks.0.norm1.weight", options).head);
}

/// Three parameters of three groups, with gradients.
Parameters three(const std::string& tag, at::ScalarType type = at::kFloat) {
  Parameters parameters;
  for (const auto& [key, shape] :
       {std::pair<std::string, std::vector<int64_t>>{"blocks.0.mlp.fc1.weight", {7, 5}},
        {"blocks.0.mlp.fc1.bias", {7}},
        {"head.projection.weight", {3, 4}}}) {
    parameters[key] = generated(tag + key, shape, 1.0).to(type).requires_grad_(true);
    parameters[key].mutable_grad() = generated(tag + "gradient " + key, shape, 2.0).to(type);
  }
  return parameters;
}

TEST(Optimiser, GradientsOfManyMicroBatchesAddUpInFloat32) {
  Parameters parameters;
  parameters["a.weight"] = generated("a", {1}, 1.0).to(at::kBFloat16).requires_grad_(true);
  Optimiser optimiser(parameters, {});
  const at::Tensor& parameter = parameters.at("a.weight");
  for (int i = 0; i <= 256; ++i) {
    // Beside 1, bfloat16 does not see 2^-9.
    parameter.mutable_grad() = at::full({1}, i == 0 ? 1.0 : 0x1p-9, parameter.options().requires_grad(false));
    optimiser.gather_gradients();
    EXPECT_FALSE(parameter.grad().defined());
  }
  EXPECT_EQ(optimiser.step(1.0, {.steps = 2}).item<double>(), 1.5);
  EXPECT_THROW(optimiser.step(1.0, {.steps = 2}), Error) << "the sums of the last step are gone";
}

TEST(Optimiser, EqualsALoopOverNumbers) {
  for (const double divisor : {1.0, 50.0}) {  // the norm above the limit, and below
    const Parameters parameters = three("a");
    Optimiser optimiser(parameters,
                        {.beta2 = 0.9, .groups = {.weight_decay = 0.1, .layer_decay = 0.5, .blocks = 1}});
    std::map<std::string, std::vector<double>> x, m, v;
    for (const auto& [key, parameter] : parameters) {
      const at::Tensor flat = parameter.detach().to(at::kDouble).reshape({-1});
      x[key].assign(flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel());
      m[key].assign(x[key].size(), 0);
      v[key].assign(x[key].size(), 0);
    }
    const Schedule body{.peak = 1e-2, .floor = 1e-3, .steps = 5, .warmup_steps = 2},
        head{.peak = 5e-2, .floor = 1e-3, .steps = 5};
    for (int64_t step = 0; step < 5; ++step) {
      std::map<std::string, std::vector<double>> g;
      double squares = 0;
      for (const auto& [key, parameter] : parameters) {
        parameter.mutable_grad() = generated(std::to_string(step) + key, parameter.sizes(), 2.0);
        const at::Tensor flat = parameter.grad().to(at::kDouble).reshape({-1});
        for (int64_t i = 0; i < flat.numel(); ++i) {
          g[key].push_back(flat[i].item<double>() / divisor);
          squares += g[key].back() * g[key].back();
        }
      }
      const double shrink = 1.0 / std::max(1.0, std::sqrt(squares));
      const at::Tensor norm = optimiser.step(at::full({}, divisor), body, head);
      EXPECT_NEAR(norm.item<double>(), std::sqrt(squares), 1e-5 * std::sqrt(squares));
      for (const auto& [key, parameter] : parameters) {
        const bool is_head = key.starts_with("head");
        const double rate = is_head ? learning_rate(head, 1.0, step) : learning_rate(body, 0.5, step);
        const double decay = key.ends_with("bias") ? 0.0 : 0.1;
        const at::Tensor flat = parameter.detach().reshape({-1});
        for (size_t i = 0; i < x[key].size(); ++i) {
          const double gradient = g[key][i] * shrink;
          x[key][i] *= 1.0 - rate * decay;
          m[key][i] = 0.9 * m[key][i] + 0.1 * gradient;
          v[key][i] = 0.9 * v[key][i] + 0.1 * gradient * gradient;
          const auto k = static_cast<double>(step + 1);
          x[key][i] -= rate * (m[key][i] / (1 - std::pow(0.9, k))) /
                       (std::sqrt(v[key][i] / (1 - std::pow(0.9, k))) + 1e-8);
          EXPECT_NEAR(flat[static_cast<int64_t>(i)].item<double>(), x[key][i], 2e-6) << key << ' ' << i;
        }
        EXPECT_FALSE(parameter.grad().defined()) << "gradients are dropped";
      }
    }
    EXPECT_EQ(optimiser.steps_taken(), 5);
  }
}

TEST(Optimiser, ContinuesBitForBitFromItsState) {
  const Parameters whole = three("b"), halved = three("b");
  const Schedule schedule{.peak = 1e-2, .floor = 1e-3, .steps = 6};
  const auto set_gradients = [](const Parameters& parameters, int64_t step) {
    for (const auto& [key, parameter] : parameters) {
      parameter.mutable_grad() = generated(std::to_string(step) + key, parameter.sizes(), 1.0);
    }
  };
  Optimiser straight(whole, {});
  std::optional<Optimiser> resumed(std::in_place, halved, OptimiserOptions{});
  for (int64_t step = 0; step < 6; ++step) {
    if (step == 3) {
      Optimiser next(halved, {});
      model::copy_values(resumed->first_moments(), next.first_moments());
      model::copy_values(resumed->second_moments(), next.second_moments());
      next.resume(resumed->steps_taken());
      resumed.emplace(std::move(next));
    }
    set_gradients(whole, step);
    set_gradients(halved, step);
    straight.step(3.0, schedule);
    resumed->step(3.0, schedule);
  }
  for (const auto& [key, parameter] : whole) {
    EXPECT_TRUE(at::equal(parameter, halved.at(key))) << key;
  }
}

TEST(Optimiser, KeepsFloat32MastersOfBfloat16Parameters) {
  const Parameters parameters = three("c", at::kBFloat16);
  Optimiser optimiser(parameters, {});
  const Parameters before = optimiser.masters();
  const at::Tensor first = before.at("head.projection.weight").clone();
  for (int64_t step = 0; step < 10; ++step) {
    for (const auto& [key, parameter] : parameters) {
      parameter.mutable_grad() = at::full(parameter.sizes(), 1.0, at::kBFloat16);
    }
    // Steps of 1e-5 are below the resolution of bfloat16 near 1.
    optimiser.step(1.0, {.peak = 1e-5, .floor = 1e-5, .steps = 10});
  }
  const at::Tensor moved = optimiser.masters().at("head.projection.weight") - first;
  EXPECT_LT(moved.max().item<double>(), -5e-5);
  for (const auto& [key, parameter] : parameters) {
    EXPECT_TRUE(at::equal(parameter, optimiser.masters().at(key).to(at::kBFloat16))) << key;
  }
}

TEST(Optimiser, RefusesAParameterWithoutGradient) {
  const Parameters parameters = three("d");
  parameters.begin()->second.mutable_grad() = at::Tensor();
  Optimiser optimiser(parameters, {});
  EXPECT_THROW(optimiser.step(1.0, {}), Error);
}

TEST(Ema, IsTheWeightedMeanOfBoth) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Parameters online{{"a", generated("online", {50}, 1.0)}, {"more", at::zeros({2})}};
    const at::Tensor start = generated("target", {50}, 1.0).to(type);
    Parameters target{{"a", start.clone()}};
    Ema ema(online, target);
    at::Tensor expected = start.to(at::kDouble);
    for (const double momentum : {0.9, 0.95, 1.0}) {
      ema.update(momentum);
      expected = momentum * expected + (1 - momentum) * online.at("a").to(at::kDouble);
    }
    EXPECT_LE((ema.averages().at("a") - expected).abs().max().item<double>(), 1e-6);
    EXPECT_TRUE(at::equal(target.at("a"), ema.averages().at("a").to(type)));
  }
  EXPECT_THROW(Ema({}, {{"a", at::zeros({1})}}), Error);
}

}  // namespace
}  // namespace slim::train
