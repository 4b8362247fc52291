// SPDX-License-Identifier: Apache-2.0
// The encoder on a GPU against the same weights and clips on the CPU.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include "generated.h"
#include "gpu.h"
#include "model/layout_index.h"
#include "model/voxel_order.h"

namespace slim::model {
namespace {

using testing::relative_difference;

class EncoderOnGpu : public slim::testing::OnGpu {
 protected:
  static constexpr Background kModes[]{Background::Token, Background::Unit, Background::None};

  /// The same encoder on the GPU.
  HieraEncoder moved(const HieraEncoder& encoder, at::ScalarType type) const {
    HieraEncoder copy = testing::generated_encoder(encoder->options());
    copy->to(gpu, type);
    return copy;
  }
};

at::Tensor clips(int64_t count) {
  std::vector<at::Tensor> all;
  for (int64_t i = 0; i < count; ++i) {
    all.push_back(packed_from_dense(testing::only_brain(testing::generated_clip("clip" + std::to_string(i))),
                                    packaged_token_set()));
  }
  return at::cat(all).to(at::kHalf);
}

TEST_F(EncoderOnGpu, BaseEqualsTheCpuInEveryBackgroundMode) {
  const at::NoGradGuard no_gradient;
  const HieraEncoder encoder = testing::generated_encoder(encoder_preset("base"));
  const HieraEncoder exact = moved(encoder, at::kFloat), rounded = moved(encoder, at::kBFloat16);
  const at::Tensor input = clips(1);
  for (const Background mode : kModes) {
    const TokenLayout layout({.background = mode});
    const EncoderOutput expected = encoder->forward(input, layout, {.rows = true});
    const EncoderOutput found = exact->forward(input.to(gpu), layout, {.rows = true});
    EXPECT_LE(relative_difference(found.pooled.cpu(), expected.pooled), 1e-4) << name_of(mode);
    EXPECT_LE(relative_difference(found.rows.cpu(), expected.rows), 1e-4) << name_of(mode);
    const EncoderOutput coarse = rounded->forward(input.to(gpu), layout);
    EXPECT_EQ(coarse.pooled.scalar_type(), at::kFloat) << "means and norms are taken in float32";
    EXPECT_LE(relative_difference(coarse.pooled.cpu(), expected.pooled), 2e-2) << name_of(mode);
  }
}

TEST_F(EncoderOnGpu, RowNumbersEqualThoseOfTheCpu) {
  for (const Background mode : kModes) {
    const TokenLayout layout(
        {.background = mode, .clips = 2, .mask_units = {{0, 13, 40}, {3, 13, 121, 134}}});
    const LayoutIndex here = make_layout_index(layout, at::kCPU), there = make_layout_index(layout, gpu);
    const auto same = [](const at::Tensor& a, const at::Tensor& b) { return a.equal(b.cpu()); };
    EXPECT_TRUE(same(here.time, there.time) && same(here.space, there.space));
    EXPECT_TRUE(same(here.frame, there.frame) && same(here.place, there.place));
    EXPECT_TRUE(same(here.children[0], there.children[0]) && same(here.children[1], there.children[1]));
    EXPECT_TRUE(same(here.clip_major, there.clip_major));
    for (const int level : {0, 1}) {
      EXPECT_TRUE(same(child_slots(layout, level, at::kCPU), child_slots(layout, level, gpu)));
    }
  }
}

TEST_F(EncoderOnGpu, GradientsOfTheFeatureEqualTheCpu) {
  const HieraEncoder encoder = testing::generated_encoder(encoder_preset("tiny"));
  const HieraEncoder exact = moved(encoder, at::kFloat);
  const at::Tensor weights = testing::generated("weights", {2, encoder->options().width()}, 1.0);
  for (const Background mode : kModes) {
    const TokenLayout layout({.background = mode, .clips = 2, .mask_units = {{0, 13, 40, 67}}});
    const auto gradient = [&](HieraEncoder network, at::Device device) {
      network->zero_grad();
      const at::Tensor input = clips(2).to(at::kFloat).to(device).requires_grad_(true);
      (network->forward(input, layout).pooled * weights.to(device)).sum().backward();
      return input.grad().cpu();
    };
    EXPECT_LE(relative_difference(gradient(exact, gpu), gradient(encoder, at::kCPU)), 1e-3) << name_of(mode);
    const auto of_cpu = encoder->named_parameters();
    for (const auto& item : exact->named_parameters()) {
      EXPECT_LE(relative_difference(item.value().grad().cpu(), of_cpu[item.key()].grad()), 1e-3)
          << name_of(mode) << " " << item.key();
    }
  }
}

TEST_F(EncoderOnGpu, RecomputingChangesTheGradientsByRoundingOnly) {
  HieraEncoder exact = moved(testing::generated_encoder(encoder_preset("tiny")), at::kFloat);
  const TokenLayout layout({.clips = 2});
  const auto gradients = [&](bool recompute) {
    exact->zero_grad();
    exact->forward(clips(2).to(gpu), layout, {.recompute = recompute}).pooled.square().sum().backward();
    std::vector<at::Tensor> all;
    for (const at::Tensor& parameter : exact->parameters()) {
      all.push_back(parameter.grad().cpu().view({-1}));
    }
    return at::cat(all);
  };
  EXPECT_LE(relative_difference(gradients(true), gradients(false)), 1e-4);
}

}  // namespace
}  // namespace slim::model
