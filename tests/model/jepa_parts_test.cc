// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "model/drop_path.h"
#include "model/flops.h"
#include "model/fusion_heads.h"
#include "model/ops/recompute.h"
#include "model/stage2_mae.h"
#include "small_set.h"

namespace slim::model {
namespace {

using testing::generated;
using testing::relative_difference;
using testing::small_clips;
using testing::small_set;

int64_t values_in(const Parameters& parameters) {
  int64_t values = 0;
  for (const auto& [key, tensor] : parameters) {
    values += tensor.numel();
  }
  return values;
}

Parameters parameters_of(const torch::nn::Module& module) {
  Parameters all;
  add_parameters(all, module);
  return all;
}

/// Central differences of a scalar function in double against its gradient.
void check_gradient(const std::function<at::Tensor(const at::Tensor&)>& f, const at::Tensor& start) {
  const at::Tensor x = start.detach().clone().requires_grad_(true);
  f(x).backward();
  const at::Tensor gradient = x.grad().reshape({-1});
  const at::NoGradGuard no_gradient;
  for (int64_t i = 0; i < x.numel(); ++i) {
    constexpr double kStep = 1e-6;
    at::Tensor more = start.detach().clone(), less = more.clone();
    more.view({-1})[i] += kStep;
    less.view({-1})[i] -= kStep;
    const double slope = (f(more) - f(less)).item<double>() / (2 * kStep);
    EXPECT_NEAR(gradient[i].item<double>(), slope, 1e-6 * std::max(1.0, std::abs(slope))) << "element " << i;
  }
}

TEST(Parameters, CountedOperationsAreThePublishedOnes) {
  const EncoderOptions base = encoder_preset("base");
  const TokenLayout all((LayoutOptions{}));
  EXPECT_NEAR(count_fusion_flops(base, all).total(), 24.2e9, 0.05e9);
  EXPECT_NEAR(count_fusion_flops(base, TokenLayout({.background = Background::None})).total(), 40.8e9,
              0.05e9);
  // Rows of 1,280 cells all embedded and all predicted, as the published number counts them.
  const PredictorRows rows{
      .context_counts = {1280}, .query_counts = {0}, .context_cells = {}, .query_cells = {}};
  const double unread = 2.0 * 1280 * 512 * 512;
  EXPECT_NEAR(count_predictor_flops(predictor_preset("base"), rows).total() + unread, 92.6e9, 0.1e9);
}

TEST(Parameters, FusionAndPredictorHaveThePublishedTensors) {
  for (const char* preset : {"tiny", "base"}) {
    const EncoderOptions encoder = encoder_preset(preset);
    const Predictor predictor(predictor_preset(preset));
    const FusionHeads fusion(encoder);
    for (const auto& [tensors, module] :
         {std::pair<std::vector<TensorSpec>, const torch::nn::Module*>{fusion_tensors(encoder), &*fusion},
          {predictor_tensors(encoder, predictor->options().shape()), &*predictor}}) {
      const Parameters parameters = parameters_of(*module);
      EXPECT_EQ(parameters.size(), tensors.size());
      for (const TensorSpec& spec : tensors) {
        ASSERT_TRUE(parameters.contains(spec.name)) << spec.name;
        EXPECT_EQ(parameters.at(spec.name).sizes().vec(), spec.shape) << spec.name;
      }
    }
  }
  EXPECT_EQ(values_in(parameters_of(*FusionHeads(encoder_preset("tiny")))), 590080);
  EXPECT_EQ(values_in(parameters_of(*Predictor(predictor_preset("tiny")))), 254976);
  EXPECT_EQ(values_in(parameters_of(*FusionHeads(encoder_preset("base")))), 9438208);
  EXPECT_EQ(values_in(parameters_of(*Predictor(predictor_preset("base")))), 26851840);
  EXPECT_EQ(values_in(parameters_of(*Predictor(predictor_preset("light")))), 11871488);
  PredictorOptions decoder = predictor_preset("base");
  decoder.output = mae_output(MaeFrames::All);
  EXPECT_EQ(values_in(parameters_of(*Predictor(decoder))), 34994176);
  decoder.output = mae_output(MaeFrames::First);
  EXPECT_EQ(values_in(parameters_of(*Predictor(decoder))), 28690432);
}

TEST(Fusion, AbsentChildrenEqualExplicitZeroRows) {
  FusionHead head(3, 5, 2);
  const at::NoGradGuard no_gradient;
  head->weight.copy_(generated("weight", head->weight.sizes(), 1.0));
  head->bias.copy_(generated("bias", head->bias.sizes(), 1.0));
  const at::Tensor all = generated("rows", {4 * 16, 3}, 1.0);
  // Cell 0 keeps all children, cell 1 half, cell 2 one, cell 3 one elsewhere.
  std::vector<int64_t> kept(16);
  std::iota(kept.begin(), kept.end(), 0);
  for (int64_t i = 0; i < 16; i += 2) {
    kept.push_back(16 + i);
  }
  kept.insert(kept.end(), {32, 63});
  const at::Tensor slots = index_tensor(kept, at::kCPU);
  at::Tensor with_zeros = at::zeros_like(all);
  with_zeros.index_copy_(0, slots, all.index_select(0, slots));
  const at::Tensor sparse = head->forward(all.index_select(0, slots), slots, 4);
  EXPECT_LE(relative_difference(sparse, head->forward(with_zeros, at::arange(64), 4)), 1e-6);
  // The stored form: index (((channel*2 + t)*2 + d)*2 + h)*2 + w of the flattened weight.
  const at::Tensor stored = at::linear(with_zeros.view({4, 16, 3}).transpose(1, 2).reshape({4, 48}),
                                       head->weight.reshape({5, 48}), head->bias);
  EXPECT_LE(relative_difference(sparse, stored), 1e-6);
}

TEST(Fusion, EveryRowHasOneSlotInItsOwnCell) {
  const TokenLayout layout({.clips = 2, .mask_units = {{0, 30, 66}, {13, 120}}});
  const std::vector<RowCell> finals = layout.final_cells();
  for (const int level : {0, 1}) {
    const int edge = 4 >> level;
    const at::Tensor of_rows = child_slots(layout, level, at::kCPU);
    const auto* const first = of_rows.const_data_ptr<int64_t>();
    const std::vector<int64_t> slots(first, first + of_rows.numel());
    const std::vector<RowCell> cells = layout.cells(level);
    ASSERT_EQ(slots.size(), cells.size());
    EXPECT_EQ(std::set<int64_t>(slots.begin(), slots.end()).size(), slots.size());
    const int64_t children = edge * edge * edge * edge;
    for (size_t i = 0; i < slots.size(); ++i) {
      const RowCell& parent = finals[static_cast<size_t>(slots[i] / children)];
      EXPECT_EQ(parent, (RowCell{cells[i].clip, cells[i].t / edge, cells[i].d / edge, cells[i].h / edge,
                                 cells[i].w / edge}));
    }
  }
}

TEST(Encoder, StageRowsAreTheSameOnBothPathsAndThoseOfTheirBlocks) {
  const HieraEncoder encoder = testing::generated_encoder(encoder_preset("tiny"));
  const TokenLayout layout({.tokens = &small_set(), .clips = 2});
  const at::Tensor clips = small_clips(2);
  std::map<std::string, at::Tensor> watched;
  const EncoderOutput plain =
      encoder->forward(clips, layout,
                       {.rows = true,
                        .stage_rows = true,
                        .watch = [&](const std::string& name, const at::Tensor& rows,
                                     const std::vector<RowCell>&) { watched[name] = rows; }});
  const at::NoGradGuard no_gradient;
  const EncoderOutput fast =
      encoder->forward(clips, layout, {.rows = true, .stage_rows = true, .pooled = false});
  EXPECT_FALSE(fast.pooled.defined());
  EXPECT_TRUE(at::equal(plain.stage_rows[0], watched.at("block00")));
  EXPECT_TRUE(at::equal(plain.stage_rows[1], watched.at("block01")));
  EXPECT_LE(relative_difference(fast.stage_rows[0], plain.stage_rows[0]), 1e-5);
  EXPECT_LE(relative_difference(fast.stage_rows[1], plain.stage_rows[1]), 1e-5);
  EXPECT_LE(relative_difference(fast.rows, plain.rows), 1e-5);
}

TEST(Pooling, GradientEqualsDifferencesInDouble) {
  const TokenLayout layout({.tokens = &small_set(), .mask_units = {{0, 18}}});
  const LayoutIndex index = make_layout_index(layout, at::kCPU);
  const at::Tensor rows = generated("rows", {layout.rows(0), 2}, 1.0).to(at::kDouble);
  const at::Tensor weights = generated("weights", {layout.rows(1), 2}, 1.0).to(at::kDouble);
  check_gradient([&](const at::Tensor& x) { return (pool_children(x, index.children[0]) * weights).sum(); },
                 rows);
  // A view with another row stride, as the queries of a block are.
  check_gradient(
      [&](const at::Tensor& x) {
        return (pool_children(x.split(1, 1)[1], index.children[0]) * weights.narrow(1, 0, 1)).sum();
      },
      rows);
}

TEST(Pooling, LoopsEqualTheComposedForm) {
  const TokenLayout layout({.tokens = &small_set()});
  const LayoutIndex index = make_layout_index(layout, at::kCPU);
  const at::Tensor rows = generated("rows", {layout.rows(0), 5}, 1.0);
  const at::Tensor composed =
      std::get<0>(rows.index_select(0, index.children[0]).view({-1, kMostChildren, 5}).max(1));
  EXPECT_TRUE(at::equal(pool_children(rows, index.children[0]), composed));
  // float16 has no loops: the gathered form, which other devices use.
  const at::Tensor half = rows.to(at::kHalf).requires_grad_(true),
                   full = half.detach().to(at::kFloat).requires_grad_(true);
  const at::Tensor from_half = pool_children(half, index.children[0]),
                   from_full = pool_children(full, index.children[0]);
  EXPECT_TRUE(at::equal(from_half.to(at::kFloat), from_full));
  from_half.sum().backward();
  from_full.sum().backward();
  EXPECT_TRUE(at::equal(half.grad().to(at::kFloat), full.grad()));
}

TEST(Pooling, PassesANanOn) {
  const TokenLayout layout({.tokens = &small_set()});
  const LayoutIndex index = make_layout_index(layout, at::kCPU);
  at::Tensor rows = generated("rows", {layout.rows(0), 3}, 1.0);
  rows.select(0, 5).fill_(std::nan(""));
  EXPECT_TRUE(pool_children(rows, index.children[0]).isnan().any().item<bool>());
}

TEST(Recompute, GradientEqualsDifferencesInDouble) {
  const at::Tensor w = generated("w", {3, 3}, 1.0).to(at::kDouble);
  const RowFunction f = [w](const at::Tensor& x) { return x.matmul(w).tanh() * x; };
  check_gradient([&](const at::Tensor& x) { return recomputed(f, x).square().sum(); },
                 generated("x", {4, 3}, 1.0).to(at::kDouble));
}

TEST(DropPath, DropsWholeClipsAndKeepsTheMean) {
  const at::Tensor clips = index_tensor({0, 0, 1, 2, 2}, at::kCPU);
  EXPECT_FALSE(drop_path_scale({.rate = 0.5, .positions = {1, 2, 3}}, 0, 5, 0, clips, at::kFloat).defined());
  double sum = 0;
  for (uint64_t position = 0; position < 3000; ++position) {
    const at::Tensor scale =
        drop_path_scale({.rate = 0.5, .seed = 1, .positions = {position, position + 1, position}}, 4, 5, 1,
                        clips, at::kFloat);
    const float* const values = scale.const_data_ptr<float>();
    EXPECT_EQ(values[0], values[1]);
    EXPECT_EQ(values[0], values[3]) << "a function of the position";
    EXPECT_TRUE(values[0] == 0.0F || values[0] == 2.0F);
    sum += values[0];
  }
  EXPECT_NEAR(sum / 3000, 1.0, 0.06);
}

TEST(DropPath, ChangesTheFeatureOnlyAboveRateZero) {
  const HieraEncoder encoder = testing::generated_encoder(encoder_preset("tiny"));
  const TokenLayout layout({.tokens = &small_set(), .clips = 2});
  const at::Tensor clips = small_clips(2);
  const at::Tensor plain = encoder->forward(clips, layout).pooled;
  const at::Tensor dropped =
      encoder->forward(clips, layout, {.drop_path = {.rate = 0.9, .positions = {0, 1}}}).pooled;
  EXPECT_FALSE(at::equal(plain, dropped));
  EXPECT_TRUE(at::equal(
      plain, encoder->forward(clips, layout, {.drop_path = {.rate = 0.0, .positions = {0, 1}}}).pooled));
}

}  // namespace
}  // namespace slim::model
