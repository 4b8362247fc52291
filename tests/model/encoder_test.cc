// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "generated.h"
#include "model/initialise.h"
#include "model/voxel_order.h"

namespace slim::model {
namespace {

using testing::relative_difference;

enum class Path { Plain, Fast };

/// The two forms of the forward pass: that of autograd (without a tape here) and the one of inference.
at::Tensor feature(const HieraEncoder& encoder, const at::Tensor& clip, const LayoutOptions& options,
                   Path path = Path::Fast) {
  const at::AutoGradMode mode(path == Path::Plain);
  for (at::Tensor& parameter : encoder->parameters()) {
    parameter.requires_grad_(false);
  }
  return encoder->forward(clip, TokenLayout(options)).pooled;
}

const HieraEncoder& tiny() {
  static const HieraEncoder encoder = testing::generated_encoder(encoder_preset("tiny"));
  return encoder;
}

const at::Tensor& dense_clip() {
  static const at::Tensor clip = testing::generated_clip();
  return clip;
}

const at::Tensor& packed_clip() {
  static const at::Tensor clip = packed_from_dense(dense_clip(), packaged_token_set(), Outside::Drop);
  return clip;
}

TokenSet small_set() {
  std::vector<uint8_t> flags(24 * 24 * 24, 0);
  for (const size_t place : {0U, 1U, 24U, 600U, 601U, 8U, 9U, 5000U, 13000U, 13823U}) {
    flags[place] = 1;
  }
  return token_set_from_flags(flags);
}

TEST(HieraEncoder, HasThePublishedTensorsAndParameters) {
  const auto count = [](const HieraEncoder& encoder) {
    int64_t values = 0;
    for (const at::Tensor& parameter : encoder->parameters()) {
      values += parameter.numel();
    }
    return std::make_pair(encoder->parameters().size(), values);
  };
  const HieraEncoder base(encoder_preset("base"));
  EXPECT_EQ(count(base), (std::pair<size_t, int64_t>{300, 23336512}));
  EXPECT_EQ(count(tiny()), (std::pair<size_t, int64_t>{72, 515840}));
  const auto parameters = base->named_parameters();
  const auto shape = [&](const char* name) { return parameters[name].sizes().vec(); };
  EXPECT_EQ(shape("pos_embed_spatial"), (std::vector<int64_t>{1, 13824, 64}));
  EXPECT_EQ(shape("pos_embed_temporal"), (std::vector<int64_t>{1, 40, 64}));
  EXPECT_EQ(shape("patch_embed.proj.weight"), (std::vector<int64_t>{64, 1, 1, 4, 4, 4}));
  EXPECT_EQ(shape("blocks.2.attn.qkv.weight"), (std::vector<int64_t>{384, 64}));
  EXPECT_EQ(shape("blocks.21.proj.weight"), (std::vector<int64_t>{512, 256}));
  EXPECT_EQ(shape("blocks.23.mlp.fc2.weight"), (std::vector<int64_t>{512, 2048}));
  EXPECT_EQ(shape("encoder_norm.bias"), (std::vector<int64_t>{512}));
}

TEST(HieraEncoder, ShapesOfFourDenseMaskUnits) {
  const HieraEncoder base = testing::generated_encoder(encoder_preset("base"));
  const TokenLayout layout({.background = Background::None, .mask_units = {{0, 1, 27, 28}}});
  std::map<std::string, std::vector<int64_t>> shapes;
  const at::NoGradGuard no_gradient;
  const EncoderOutput output = base->forward(
      dense_clip(), layout,
      {.rows = true, .watch = [&](const std::string& name, const at::Tensor& rows, const auto&) {
         shapes[name] = rows.sizes().vec();
       }});
  EXPECT_EQ(shapes.at("embedding"), (std::vector<int64_t>{16384, 64}));
  EXPECT_EQ(shapes.at("block02"), (std::vector<int64_t>{1024, 128}));
  EXPECT_EQ(shapes.at("block05"), (std::vector<int64_t>{64, 256}));
  EXPECT_EQ(shapes.at("block21"), (std::vector<int64_t>{64, 512}));
  EXPECT_EQ(output.rows.sizes(), (std::vector<int64_t>{64, 512}));
  EXPECT_EQ(output.pooled.sizes(), (std::vector<int64_t>{1, 512}));
}

TEST(HieraEncoder, TokenModeWithEveryTokenEqualsNone) {
  const TokenSet all = token_set_from_flags(std::vector<uint8_t>(24 * 24 * 24, 1));
  const at::Tensor token = feature(tiny(), packed_from_dense(dense_clip(), all), {.tokens = &all});
  const at::Tensor none = feature(tiny(), dense_clip(), {.background = Background::None});
  const at::Tensor unit = feature(tiny(), dense_clip(), {.background = Background::Unit});
  EXPECT_LE(relative_difference(token, none), 1e-5);
  EXPECT_LE(relative_difference(unit, none), 1e-5);
  EXPECT_GT(relative_difference(feature(tiny(), dense_clip(), {}), none), 1e-3)
      << "token mode is another function";
}

TEST(HieraEncoder, NamingAllMaskUnitsEqualsNamingNone) {
  std::vector<int64_t> all;
  for (int64_t unit = kMaskUnits; unit-- > 0;) {
    all.push_back(unit);
  }
  EXPECT_LE(relative_difference(feature(tiny(), packed_clip(), {.mask_units = {all}}),
                                feature(tiny(), packed_clip(), {})),
            1e-5);
}

TEST(HieraEncoder, PackedAndDenseInputAreTheSameClip) {
  const at::Tensor brain = dense_from_packed(packed_clip(), packaged_token_set());
  for (const Background background : {Background::Token, Background::Unit, Background::None}) {
    for (const Path path : {Path::Fast, Path::Plain}) {
      const LayoutOptions options{.background = background, .mask_units = {{3, 13, 40, 80}}};
      EXPECT_TRUE(
          at::equal(feature(tiny(), packed_clip(), options, path), feature(tiny(), brain, options, path)));
    }
  }
}

TEST(HieraEncoder, VoxelsOutsideTheTokensChangeNoBit) {
  at::Tensor other = dense_clip().clone();
  const at::Tensor inside = dense_from_packed(at::ones_like(packed_clip()), packaged_token_set());
  other += (1 - inside) * 1e3;
  ASSERT_FALSE(at::equal(other, dense_clip()));
  for (const Path path : {Path::Fast, Path::Plain}) {
    EXPECT_TRUE(at::equal(feature(tiny(), dense_clip(), {}, path), feature(tiny(), other, {}, path)));
  }
}

TEST(HieraEncoder, InferenceFormEqualsThePlainForm) {
  for (const std::vector<int64_t>& units : {std::vector<int64_t>{}, {8, 9, 13, 40, 67, 120}}) {
    LayoutOptions options;
    if (!units.empty()) {
      options.mask_units = {units};
    }
    EXPECT_LE(relative_difference(feature(tiny(), packed_clip(), options),
                                  feature(tiny(), packed_clip(), options, Path::Plain)),
              1e-5);
  }
}

TEST(HieraEncoder, BatchChangesNothing) {
  const at::Tensor other =
      packed_from_dense(testing::generated_clip("other"), packaged_token_set(), Outside::Drop);
  const at::Tensor batch = at::cat({packed_clip(), other});
  const std::vector<int64_t> first{0, 13, 14, 50}, second{13, 99};
  for (const Path path : {Path::Fast, Path::Plain}) {
    const at::Tensor together = feature(tiny(), batch, {.clips = 2, .mask_units = {first, second}}, path);
    EXPECT_LE(
        relative_difference(together[0], feature(tiny(), packed_clip(), {.mask_units = {first}}, path)[0]),
        1e-6);
    EXPECT_LE(relative_difference(together[1], feature(tiny(), other, {.mask_units = {second}}, path)[0]),
              1e-6);
    const at::Tensor same = feature(tiny(), batch, {.clips = 2, .mask_units = {first}}, path);
    EXPECT_LE(relative_difference(same[0], together[0]), 1e-6);
    EXPECT_LE(relative_difference(same[1], feature(tiny(), other, {.mask_units = {first}}, path)[0]), 1e-6);
  }
}

TEST(HieraEncoder, ThreadsChangeNothing) {
  const int before = at::get_num_threads();
  for (const Path path : {Path::Fast, Path::Plain}) {
    at::set_num_threads(1);
    const at::Tensor one = feature(tiny(), packed_clip(), {}, path);
    at::set_num_threads(3);
    const at::Tensor three = feature(tiny(), packed_clip(), {}, path);
    EXPECT_LE(relative_difference(three, one), 1e-6);
  }
  at::set_num_threads(before);
}

TEST(HieraEncoder, RowOrderInsideMaskUnitsChangesNothing) {
  // Each location's tokens backwards: the children of a cell are neighbours still.
  TokenSet backwards = packaged_token_set();
  std::vector<int64_t> order;
  int64_t first = 0;
  for (const int64_t count : backwards.per_location) {
    for (int64_t i = 0; i < count; ++i) {
      order.push_back(first + count - 1 - i);
      backwards.cells[static_cast<size_t>(first + i)] =
          packaged_token_set().cells[static_cast<size_t>(order.back())];
    }
    first += count;
  }
  const at::Tensor clip = packed_clip().index_select(2, at::tensor(order));
  for (const Path path : {Path::Fast, Path::Plain}) {
    EXPECT_LE(relative_difference(feature(tiny(), clip, {.tokens = &backwards}, path),
                                  feature(tiny(), packed_clip(), {}, path)),
              1e-6);
  }
}

TEST(HieraEncoder, HalfInputIsReadAsItsValues) {
  const at::Tensor half = packed_clip().to(at::kHalf);
  const LayoutOptions options{.mask_units = {{13, 40}}};
  EXPECT_TRUE(at::equal(feature(tiny(), half, options), feature(tiny(), half.to(at::kFloat), options)));
}

TEST(HieraEncoder, ComputesInBfloat16) {
  HieraEncoder encoder = testing::generated_encoder(encoder_preset("tiny"));
  encoder->to(at::kBFloat16);
  const LayoutOptions options{.mask_units = {{13, 40, 41, 100}}};
  const at::Tensor low = feature(encoder, packed_clip(), options);
  EXPECT_EQ(low.scalar_type(), at::kFloat);
  EXPECT_LE(relative_difference(low, feature(tiny(), packed_clip(), options)), 2e-2);
}

TEST(HieraEncoder, RefusesClipsOfAnotherShape) {
  const auto refuses = [](const at::Tensor& clip, int64_t clips) {
    try {
      feature(tiny(), clip, {.clips = clips});
    } catch (const Error& error) {
      return error.code() == message::kUnfitModel.code;
    }
    return false;
  };
  EXPECT_TRUE(refuses(packed_clip(), 2));
  EXPECT_TRUE(refuses(packed_clip().narrow(1, 0, 39), 1));
  EXPECT_TRUE(refuses(packed_clip().narrow(2, 0, 4471), 1));
  EXPECT_TRUE(refuses(packed_clip()[0], 1));
}

TEST(HieraEncoder, InitialParametersAreAFunctionOfTheSeed) {
  HieraEncoder one(encoder_preset("tiny")), same(encoder_preset("tiny")), other(encoder_preset("tiny"));
  init_parameters(one, 7);
  init_parameters(same, 7);
  init_parameters(other, 8);
  const auto a = one->named_parameters(), b = same->named_parameters(), c = other->named_parameters();
  for (const auto& item : a) {
    EXPECT_TRUE(at::equal(item.value(), b[item.key()])) << item.key();
    EXPECT_EQ(at::equal(item.value(), c[item.key()]), item.value().dim() == 1) << item.key();
  }
  const at::Tensor qkv = a["blocks.1.attn.qkv.weight"];  // [96, 16]
  EXPECT_LE(qkv.abs().max().item<double>(), std::sqrt(6.0 / 112));
  EXPECT_NEAR(qkv.std().item<double>(), std::sqrt(2.0 / 112), 0.01);
  EXPECT_NEAR(a["pos_embed_spatial"].std().item<double>(), 0.02, 1e-3);
  EXPECT_EQ(a["blocks.0.norm1.weight"].min().item<double>(), 1.0);
}

TEST(HieraEncoder, GradientsEqualFiniteDifferences) {
  const TokenSet tokens = small_set();
  const EncoderOptions options{.preset = "small", .embed_dim = 8, .heads = 1, .stage_blocks = {1, 1, 2, 1}};
  HieraEncoder encoder = testing::generated_encoder(options);
  encoder->to(at::kDouble);
  const TokenLayout layout({.tokens = &tokens, .clips = 2, .mask_units = {{0, 27, 1, 26}, {0, 28, 53}}});
  at::Tensor clip =
      testing::generated("clip", {2, 40, tokens.size(), 64}, 1.7).to(at::kDouble).requires_grad_(true);
  const at::Tensor weights = testing::generated("loss", {2, 64}, 1.0).to(at::kDouble);
  const auto loss = [&] { return (encoder->forward(clip, layout).pooled * weights).sum(); };
  loss().backward();
  std::vector<std::pair<std::string, at::Tensor>> variables{{"clip", clip}};
  for (const auto& item : encoder->named_parameters()) {
    variables.emplace_back(item.key(), item.value());
  }
  const at::NoGradGuard no_gradient;
  for (auto& [name, variable] : variables) {
    ASSERT_TRUE(variable.grad().defined()) << name;
    const at::Tensor direction =
        testing::generated("direction." + name, variable.sizes(), 1.0).to(at::kDouble);
    const at::Tensor start = variable.clone();
    const auto at_step = [&](double step) {
      variable.copy_(start + step * direction);
      return loss().item<double>();
    };
    const double slope = (at_step(1e-6) - at_step(-1e-6)) / 2e-6;
    variable.copy_(start);
    const double expected = (variable.grad() * direction).sum().item<double>();
    EXPECT_NEAR(slope, expected, 1e-5 * std::max(1.0, std::abs(expected))) << name;
    EXPECT_GT(variable.grad().abs().max().item<double>(), 0.0) << name;
  }
}

at::Tensor one_by_one(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      const std::vector<Slab>& q_slabs, const std::vector<Slab>& kv_slabs, int64_t heads) {
  std::vector<at::Tensor> parts;
  const int64_t size = q.size(1) / heads;
  for (size_t i = 0; i < q_slabs.size(); ++i) {
    for (int64_t group = 0; group < q_slabs[i].groups; ++group) {
      std::vector<at::Tensor> columns;
      for (int64_t head = 0; head < heads; ++head) {
        const auto take = [&](const at::Tensor& x, const Slab& slab) {
          return x.narrow(0, slab.first_row + group * slab.rows, slab.rows).narrow(1, head * size, size);
        };
        const at::Tensor scores =
            at::matmul(take(q, q_slabs[i]), take(k, kv_slabs[i]).t()) / std::sqrt(static_cast<double>(size));
        columns.push_back(at::matmul(at::softmax(scores, -1), take(v, kv_slabs[i])));
      }
      parts.push_back(at::cat(columns, 1));
    }
  }
  return at::cat(parts);
}

TEST(GroupedAttention, EqualsALoopOverMaskUnitsForwardAndBackward) {
  const std::vector<Slab> key_slabs{{0, 3, 48}, {144, 5, 8}, {184, 1, 200}},
      query_slabs{{0, 3, 6}, {18, 5, 1}, {23, 1, 30}};
  for (const int64_t heads : {1, 2, 4, 8}) {
    for (const bool pooled : {false, true}) {
      const std::vector<Slab>& q_slabs = pooled ? query_slabs : key_slabs;
      const at::Tensor qkv = at::randn({384, 3 * heads * 16}, at::kDouble).requires_grad_(true);
      const int64_t width = heads * 16;
      const at::Tensor q = qkv.narrow(1, 0, width).narrow(0, 0, pooled ? 53 : 384),
                       k = qkv.narrow(1, width, width), v = qkv.narrow(1, 2 * width, width);
      const at::Tensor weights = at::randn(q.sizes(), at::kDouble);
      const at::Tensor grouped = grouped_attention(q, k, v, q_slabs, key_slabs, heads);
      const at::Tensor split = grouped_attention(q, k, v, q_slabs, key_slabs, heads, 2 * heads);
      const at::Tensor loop = one_by_one(q, k, v, q_slabs, key_slabs, heads);
      EXPECT_LE(relative_difference(grouped, loop), 1e-12);
      EXPECT_LE(relative_difference(split, loop), 1e-12);
      (grouped * weights).sum().backward();
      const at::Tensor gradient = qkv.grad().clone();
      qkv.mutable_grad().zero_();
      (one_by_one(q, k, v, q_slabs, key_slabs, heads) * weights).sum().backward();
      EXPECT_LE(relative_difference(gradient, qkv.grad()), 1e-10);
    }
  }
}

}  // namespace
}  // namespace slim::model
