// SPDX-License-Identifier: Apache-2.0
// Attributions against functions whose parts are known, and on the tiny encoder.
#include "model/saliency.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "generated.h"
#include "model/parameters.h"
#include "small_set.h"

namespace slim::model {
namespace {

using testing::generated;

/// Sum over all values but the clip's own dimension.
at::Tensor per_clip(const at::Tensor& values) { return values.flatten(1).sum(1); }

TEST(Saliency, OfALinearFunctionIsWeightTimesInputByEitherMethod) {
  const at::Tensor w = generated("w", {4, 6, 8}, 1.0), x = generated("x", {4, 6, 8}, 2.0);
  const ClipScalar linear = [&](const at::Tensor& clips) { return per_clip(clips * w) + 0.75; };
  for (const Attribution& a :
       {integrated_gradients(linear, x, {.steps = 3}), gradient_times_input(linear, x)}) {
    EXPECT_TRUE(at::allclose(a.values, w * x, 1e-6, 1e-7));
    EXPECT_LT(a.residual(), 1e-5);
    EXPECT_NEAR(a.at_baseline, 0.75, 1e-7);
    EXPECT_NEAR(a.at_clip - a.at_baseline, (w * x).sum().item<double>(), 1e-4);
    EXPECT_NEAR(a.sum_abs, (w * x).abs().sum().item<double>(), 1e-3);
  }
}

TEST(Saliency, ThreePointsAreExactForAQuadraticAndEqualInputsGetEqualParts) {
  // F = (sum x)^2: integrated gradients give x_i sum x, gradient times input twice that.
  const at::Tensor x = at::ones({2, 5}) * 0.5;
  const ClipScalar square = [](const at::Tensor& clips) { return per_clip(clips).square(); };
  const Attribution path = integrated_gradients(square, x, {.steps = 3, .most_steps = 3});
  EXPECT_LT(path.residual(), 1e-6);
  EXPECT_EQ(path.steps, 3);
  EXPECT_TRUE(at::allclose(path.values, at::ones({2, 5}) * 2.5, 1e-6));
  const Attribution gradient = gradient_times_input(square, x);
  EXPECT_TRUE(at::allclose(gradient.values, at::ones({2, 5}) * 5.0, 1e-6));
  EXPECT_NEAR(gradient.residual(), 1.0, 1e-6);
}

TEST(Saliency, PointsAreThoseOfGaussAndLegendreInTheCubeRootOfThePath) {
  // For n = 2: u = (1 -+ 1/sqrt(3)) / 2 with equal weights; alpha = u^3, shares as 3 u^2, of which the sum
  // is 1.
  std::vector<double> seen;
  const ClipScalar noting = [&](const at::Tensor& clips) {
    for (int64_t i = 0; clips.requires_grad() && i < clips.size(0); ++i) {
      seen.push_back(clips[i].item<double>());
    }
    return per_clip(clips.pow(4));
  };
  const Attribution a =
      integrated_gradients(noting, at::ones({1}), {.steps = 2, .most_steps = 2, .at_once = 2});
  const double high = (1.0 + 1.0 / std::sqrt(3.0)) / 2.0, low = 1.0 - high;
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_NEAR(std::max(seen[0], seen[1]), std::pow(high, 3), 1e-6);
  EXPECT_NEAR(std::min(seen[0], seen[1]), std::pow(low, 3), 1e-6);
  const double sum = 3.0 * (high * high + low * low);
  EXPECT_NEAR(a.sum, 4.0 * 3.0 * (std::pow(high, 11) + std::pow(low, 11)) / sum, 1e-5);
}

TEST(Saliency, AFunctionThatSaturatesNearZeroIsSeenWhole) {
  // As behind a LayerNorm: x / sqrt(x^2 + e^2) has all of its rise below a fiftieth of the path.
  const at::Tensor x = at::ones({3});
  const ClipScalar saturating = [](const at::Tensor& clips) {
    return per_clip(clips / (clips.square() + 1e-4).sqrt());
  };
  EXPECT_LT(integrated_gradients(saturating, x, {.steps = 12, .most_steps = 12}).residual(), 0.02);
  EXPECT_LT(integrated_gradients(saturating, x, {.steps = 128, .most_steps = 128}).residual(), 1e-4);
}

TEST(Saliency, FromABaselineOnlyWhatDiffersFromItHasAPart) {
  // F = (sum x)^2 from b to x: (x_i - b_i)(sum x + sum b).
  const at::Tensor b = generated("b", {3, 4}, 1.0), x = b.clone();
  x[1].add_(0.5);
  const ClipScalar square = [](const at::Tensor& clips) { return per_clip(clips).square(); };
  const Attribution a = integrated_gradients(square, x, {.steps = 3, .most_steps = 3, .baseline = b});
  EXPECT_EQ(a.values[0].abs().sum().item<double>() + a.values[2].abs().sum().item<double>(), 0.0);
  EXPECT_TRUE(at::allclose(a.values, (x - b) * (x.sum() + b.sum()), 1e-5, 1e-6));
  EXPECT_NEAR(a.at_baseline, std::pow(b.sum().item<double>(), 2), 1e-5);
  EXPECT_LT(a.residual(), 1e-5);
}

TEST(Saliency, StepsAreDoubledWhileThePartsDoNotAddUp) {
  // A kink at a third of the path: coarse cuts miss it.
  const at::Tensor x = at::ones({1});
  const ClipScalar kink = [](const at::Tensor& clips) { return per_clip((clips - 1.0 / 3.0).clamp_min(0)); };
  std::vector<std::pair<int64_t, int64_t>> seen;
  const Attribution rough = integrated_gradients(kink, x, {.steps = 1, .most_steps = 1, .complete = 0.05});
  EXPECT_GT(rough.residual(), 0.3);
  const Attribution fine = integrated_gradients(
      kink, x, {.steps = 1, .most_steps = 6, .complete = 1e-3, .watch = [&](int64_t done, int64_t total) {
                  seen.emplace_back(done, total);
                }});
  EXPECT_EQ(fine.steps, 6) << "1, 2, 4, then the most that is allowed";
  EXPECT_LT(fine.residual(), rough.residual());
  EXPECT_EQ(seen.back(), std::make_pair(int64_t{13}, int64_t{13}));
  EXPECT_EQ(integrated_gradients(kink, x, {.steps = 1, .complete = 0.4}).steps, 2)
      << "two points miss 0.3995 of it";
}

TEST(Saliency, DoesNotDependOnHowManyPointsAreInABatch) {
  const at::Tensor x = generated("x", {3, 4}, 2.0);
  const ClipScalar bent = [](const at::Tensor& clips) { return per_clip(clips.tanh() * clips); };
  const Attribution one = integrated_gradients(bent, x, {.steps = 7, .most_steps = 7, .at_once = 1});
  const Attribution three = integrated_gradients(bent, x, {.steps = 7, .most_steps = 7, .at_once = 3});
  EXPECT_TRUE(at::allclose(one.values, three.values, 1e-6, 1e-7));
}

/// The tiny encoder on one clip of six tokens, the last two of which are 0.
struct Tiny {
  HieraEncoder encoder = testing::generated_encoder(encoder_preset("tiny"));
  at::Tensor clip = testing::small_clips(1)[0].clone();
  FeatureScalar scalar;
  LayoutOptions layout{.tokens = &testing::small_set()};
  Tiny() {
    const at::Tensor weights = generated("v", {128}, 0.3);
    scalar.weights.assign(weights.const_data_ptr<float>(), weights.const_data_ptr<float>() + 128);
    scalar.offset = 0.25;
    clip.slice(1, 4).zero_();
  }
};

TEST(Saliency, OfTheTinyEncoderAddsUpBetterWithMoreStepsAndIsZeroWhereTheClipIs) {
  const Tiny tiny;
  const ClipScalar scalar = scalar_of_clips(tiny.encoder, tiny.layout, tiny.scalar);
  std::map<int64_t, double> residual;
  for (const int64_t steps : {1, 64}) {
    const Attribution a = integrated_gradients(scalar, tiny.clip, {.steps = steps, .most_steps = steps});
    EXPECT_EQ(a.values.sizes(), tiny.clip.sizes());
    EXPECT_GT(a.sum_abs, 0.0);
    EXPECT_EQ(a.values.slice(1, 4).abs().sum().item<double>(), 0.0);
    residual[steps] = a.residual();
  }
  EXPECT_LT(residual[64], residual[1]);
  EXPECT_LT(residual[64], 0.3);
}

TEST(Saliency, TheScalarIsTheHeadOfTheFeatureAndItsGradientThatOfFiniteDifferences) {
  const Tiny tiny;
  const ClipScalar scalar = scalar_of_clips(tiny.encoder, tiny.layout, tiny.scalar);
  const Attribution a = gradient_times_input(scalar, tiny.clip);
  at::Tensor feature;
  {
    const at::NoGradGuard no_gradient;  // the path of inference
    feature = tiny.encoder->forward(tiny.clip.unsqueeze(0), TokenLayout(tiny.layout)).pooled;
  }
  double expected = tiny.scalar.offset;
  for (int64_t i = 0; i < 128; ++i) {
    expected += tiny.scalar.weights[static_cast<size_t>(i)] * feature[0][i].item<double>();
  }
  EXPECT_NEAR(a.at_clip, expected, 1e-4);
  // Along x itself: dF/dalpha at alpha = 1 is the sum of the parts.
  const double step = 1e-2;
  const auto at = [&](double alpha) {
    const at::NoGradGuard no_gradient;
    return scalar((tiny.clip * alpha).unsqueeze(0)).item<double>();
  };
  const double slope = (at(1 + step) - at(1 - step)) / (2 * step);
  EXPECT_NEAR(a.sum, slope, 0.05 * std::abs(slope) + 1e-3);
}

TEST(Saliency, RandomisingGoesFromTheHeadDownward) {
  const HieraEncoder encoder = testing::generated_encoder(encoder_preset("tiny"));
  Parameters before;
  add_parameters(before, *encoder);
  const auto same = [&](int stage) {
    Parameters after;
    add_parameters(after, *randomised_down_to(encoder, stage, 1));
    std::map<std::string, bool> equal;
    for (const auto& [key, tensor] : after) {
      equal[key] = at::equal(tensor, before.at(key));
    }
    return equal;
  };
  const std::string embedding = "patch_embed.proj.weight", last = "encoder_norm.weight";
  // tiny: blocks 0 | 1 | 2 3 | 4
  const std::vector<std::string> blocks{"blocks.0.mlp.fc1.weight", "blocks.1.mlp.fc1.weight",
                                        "blocks.3.mlp.fc1.weight", "blocks.4.mlp.fc1.weight"};
  for (int stage = 0; stage <= 4; ++stage) {
    std::map<std::string, bool> equal = same(stage);
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(equal[blocks[i]], static_cast<int>(i) < stage) << stage << " " << blocks[i];
    }
    EXPECT_EQ(equal[last], stage == 4) << stage;
    EXPECT_EQ(equal[embedding], stage > 0) << stage;
    EXPECT_EQ(equal["pos_embed_spatial"], stage > 0) << stage;
  }
}

}  // namespace
}  // namespace slim::model
