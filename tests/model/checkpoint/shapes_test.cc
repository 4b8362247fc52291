// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/checkpoint/encoder_config.h"
#include "model/checkpoint/init_weights.h"

namespace slim::model {
namespace {

TEST(EncoderTensors, HaveThePublishedCounts) {
  const std::vector<TensorSpec> base = encoder_tensors(encoder_preset("base"));
  EXPECT_EQ(base.size(), 300u);
  EXPECT_EQ(parameter_count(base), 23'336'512);
  const std::vector<TensorSpec> tiny = encoder_tensors(encoder_preset("tiny"));
  EXPECT_EQ(tiny.size(), 72u);
  EXPECT_EQ(parameter_count(tiny), 515'840);
}

TEST(EncoderTensors, PartsOfBaseHaveTheirCounts) {
  const auto count_of = [](std::initializer_list<std::string> prefixes) {
    int64_t count = 0;
    for (const TensorSpec& spec : encoder_tensors(encoder_preset("base"))) {
      for (const std::string& prefix : prefixes) {
        count += spec.name.starts_with(prefix) ? spec.count() : 0;
      }
    }
    return count;
  };
  EXPECT_EQ(count_of({"pos_embed_spatial"}), 884'736);
  EXPECT_EQ(count_of({"pos_embed_temporal"}), 2'560);
  EXPECT_EQ(count_of({"patch_embed"}), 4'160);
  EXPECT_EQ(count_of({"blocks.0.", "blocks.1."}), 99'968);
  EXPECT_EQ(count_of({"blocks.2.", "blocks.3.", "blocks.4."}), 578'432);
  EXPECT_EQ(count_of({"blocks.21.", "blocks.22.", "blocks.23."}), 9'195'008);
  EXPECT_EQ(count_of({"encoder_norm"}), 1'024);
}

TEST(EncoderTensors, OnlyDoublingBlocksProject) {
  std::vector<std::string> projections;
  for (const TensorSpec& spec : encoder_tensors(encoder_preset("base"))) {
    if (spec.name.ends_with(".proj.weight") && !spec.name.ends_with("attn.proj.weight")) {
      projections.push_back(spec.name);
    }
  }
  EXPECT_EQ(projections, (std::vector<std::string>{"blocks.2.proj.weight", "blocks.21.proj.weight",
                                                   "blocks.5.proj.weight", "patch_embed.proj.weight"}));
}

TEST(EncoderTensors, PretrainingPartsHaveTheirCounts) {
  const EncoderOptions base = encoder_preset("base"), tiny = encoder_preset("tiny");
  EXPECT_EQ(parameter_count(fusion_tensors(base)), 9'438'208);
  EXPECT_EQ(parameter_count(predictor_tensors(base, {.width = 512, .depth = 8, .output = 512})), 26'851'840);
  EXPECT_EQ(parameter_count(predictor_tensors(base, {.width = 384, .depth = 6, .output = 512})), 11'871'488);
  EXPECT_EQ(parameter_count(fusion_tensors(tiny)), 590'080);
  EXPECT_EQ(parameter_count(predictor_tensors(tiny, {.width = 64, .depth = 2, .output = 128})), 254'976);
  // With a 256-wide prediction: 408 tensors, 59,495,232 values.
  const std::vector<TensorSpec> mae = predictor_tensors(base, {.width = 512, .depth = 8, .output = 256});
  EXPECT_EQ(300 + fusion_tensors(base).size() + mae.size(), 408u);
  EXPECT_EQ(23'336'512 + parameter_count(fusion_tensors(base)) + parameter_count(mae), 59'495'232);
}

TEST(EncoderTensors, AreSortedAndNamedOnce) {
  for (const char* preset : {"tiny", "base"}) {
    const std::vector<TensorSpec> tensors = encoder_tensors(encoder_preset(preset));
    EXPECT_TRUE(std::is_sorted(tensors.begin(), tensors.end(),
                               [](const TensorSpec& a, const TensorSpec& b) { return a.name <= b.name; }));
  }
}

TEST(InitialValues, AreBoundedByTheirFanAndDifferByTensorAndSeed) {
  const TensorSpec matrix{.name = "blocks.0.mlp.fc1.weight", .dtype = DType::F32, .shape = {256, 64}};
  const std::vector<float> values = initial_values(matrix, 1, 5);
  const double limit = std::sqrt(6.0 / (256 + 64));
  double squares = 0;
  for (const float value : values) {
    EXPECT_LE(std::abs(value), limit);
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(squares / static_cast<double>(values.size()), limit * limit / 3, 0.02 * limit * limit / 3);
  EXPECT_EQ(values, initial_values(matrix, 1, 5));
  EXPECT_NE(values, initial_values(matrix, 2, 5));
  EXPECT_NE(values, initial_values(matrix, 1, 6));
}

TEST(InitialValues, PositionsAreNormalNormsOneAndBiasesZero) {
  const std::vector<float> positions =
      initial_values({.name = "pos_embed_spatial", .dtype = DType::F32, .shape = {1, 13824, 16}}, 1, 0);
  double squares = 0;
  for (const float value : positions) {
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(positions.size())), 0.02, 0.0002);
  const auto vector = [](const char* name) {
    return initial_values({.name = name, .dtype = DType::F32, .shape = {3}}, 1, 0);
  };
  EXPECT_EQ(vector("blocks.0.norm1.weight"), (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(vector("encoder_norm.bias"), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(vector("blocks.0.attn.qkv.bias"), (std::vector<float>{0, 0, 0}));
}

}  // namespace
}  // namespace slim::model
