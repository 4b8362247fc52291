// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/key_match.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/model/checkpoint/checkpoint_testing.h"

namespace slim::model {
namespace {

using test::error_of;

/// A checkpoint with the encoder's keys under `prefix`; shapes only.
std::vector<StoredTensor> stored(const std::vector<TensorSpec>& specs, const std::string& prefix = "") {
  std::vector<StoredTensor> tensors;
  for (const TensorSpec& spec : specs) {
    StoredTensor tensor;
    tensor.spec = spec;
    tensor.spec.name = prefix + spec.name;
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}
std::vector<StoredTensor> tiny(const std::string& prefix = "") {
  return stored(encoder_tensors(encoder_preset("tiny")), prefix);
}

StoredTensor& get(std::vector<StoredTensor>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&](const StoredTensor& t) { return t.spec.name == name; });
}
void drop(std::vector<StoredTensor>& tensors, const std::string& name) {
  std::erase_if(tensors, [&](const StoredTensor& t) { return t.spec.name == name; });
}

TEST(CleanKey, StripsWrappersInAnyOrderAndKeepsTheRest) {
  EXPECT_EQ(clean_key("blocks.0.norm1.weight"), (CleanKey{"blocks.0.norm1.weight", false}));
  EXPECT_EQ(clean_key("module.backbone.encoder.blocks.0.proj.bias"), (CleanKey{"blocks.0.proj.bias", false}));
  EXPECT_EQ(clean_key("encoder.module.encoder_norm.bias"), (CleanKey{"encoder_norm.bias", false}));
  EXPECT_EQ(clean_key("encoder_norm.bias"), (CleanKey{"encoder_norm.bias", false}));
  EXPECT_EQ(clean_key("module."), (CleanKey{"module.", false}));
  EXPECT_EQ(clean_key(""), (CleanKey{"", false}));
}

TEST(CleanKey, RecognisesTargetEncoders) {
  EXPECT_EQ(clean_key("target_encoder.blocks.0.proj.bias"), (CleanKey{"blocks.0.proj.bias", true}));
  EXPECT_EQ(clean_key("module.target_encoder.module.encoder.mask_token"), (CleanKey{"mask_token", true}));
  EXPECT_EQ(clean_key("ema.encoder_norm.bias"), (CleanKey{"encoder_norm.bias", true}));
  EXPECT_EQ(clean_key("target_pos_embed_spatial"), (CleanKey{"pos_embed_spatial", true}));
}

TEST(KeyMatch, FindsThePresetByItself) {
  for (const char* preset : {"tiny", "base"}) {
    const auto tensors = stored(encoder_tensors(encoder_preset(preset)), "module.");
    const KeyMatch match = match_keys(tensors, "x.pth", {});
    EXPECT_EQ(match.encoder.preset, preset);
    EXPECT_EQ(match.tensors.size(), tensors.size());
    EXPECT_EQ(match.listing(), "");
    EXPECT_FALSE(match.fusion);
  }
}

TEST(KeyMatch, ListsEveryMissingUnexpectedAndMisshapenKey) {
  std::vector<StoredTensor> tensors = tiny("backbone.");
  drop(tensors, "backbone.encoder_norm.bias");
  drop(tensors, "backbone.blocks.3.attn.qkv.weight");
  get(tensors, "backbone.pos_embed_temporal").spec.shape = {1, 20, 16};
  get(tensors, "backbone.patch_embed.proj.bias").spec.dtype = DType::I64;
  get(tensors, "backbone.patch_embed.proj.bias").source_dtype = "int64";
  tensors.push_back(stored({{.name = "classifier.weight", .dtype = DType::F32, .shape = {2, 2}}}).front());
  const std::string error = error_of([&] { match_keys(tensors, "x.pth", {}); });
  for (const char* part :
       {"SB4002", "x.pth", "missing: encoder_norm.bias", "missing: blocks.3.attn.qkv.weight",
        "mis-shaped: pos_embed_temporal: 1 x 40 x 16 expected, 1 x 20 x 16 found",
        "mis-shaped: patch_embed.proj.bias: a floating type expected, int64 found",
        "unexpected: classifier.weight"}) {
    EXPECT_NE(error.find(part), std::string::npos) << part << "\n" << error;
  }
}

TEST(KeyMatch, APartialEncoderIsRefusedUnlessThePartIsNamed) {
  std::vector<StoredTensor> tensors = tiny();
  drop(tensors, "encoder_norm.bias");
  drop(tensors, "encoder_norm.weight");
  EXPECT_NE(error_of([&] { match_keys(tensors, "x", {}); }).find("--allow-partial"), std::string::npos);
  EXPECT_THROW(match_keys(tensors, "x", {.allow_partial = {"encoder_norm.bias"}}), Error);
  EXPECT_THROW(match_keys(tensors, "x", {.allow_partial = {""}}), Error);
  const KeyMatch match = match_keys(tensors, "x", {.allow_partial = {"encoder_norm"}});
  EXPECT_EQ(match.missing, (std::vector<std::string>{"encoder_norm.bias", "encoder_norm.weight"}));
  EXPECT_EQ(std::count_if(match.tensors.begin(), match.tensors.end(),
                          [](const MatchedTensor& tensor) { return tensor.source == nullptr; }),
            2);
}

TEST(KeyMatch, AMisshapenEncoderIsRefusedWhateverIsAllowed) {
  std::vector<StoredTensor> tensors = tiny();
  get(tensors, "encoder_norm.bias").spec.shape = {5};
  EXPECT_THROW(match_keys(tensors, "x", {.allow_partial = {"encoder_norm"}}), Error);
}

TEST(KeyMatch, AFileWithoutAnyEncoderIsRefusedWhateverIsAllowed) {
  const auto nothing = stored({{.name = "a", .dtype = DType::F32, .shape = {1}}});
  EXPECT_THROW(match_keys(nothing, "x", {.allow_partial = {"blocks", "pos", "patch", "encoder_norm"}}),
               Error);
  EXPECT_THROW(match_keys({}, "x", {}), Error);
}

TEST(KeyMatch, TwoKeysForOneTensorAreRefused) {
  std::vector<StoredTensor> tensors = tiny();
  tensors.push_back(get(tensors, "encoder_norm.bias"));
  tensors.back().spec.name = "module.encoder_norm.bias";
  EXPECT_NE(
      error_of([&] { match_keys(tensors, "x", {}); }).find("encoder_norm.bias and module.encoder_norm.bias"),
      std::string::npos);
}

TEST(KeyMatch, TargetEncodersAreReportedAndTakenOnlyWhenAskedFor) {
  std::vector<StoredTensor> tensors = tiny();
  for (const StoredTensor& target : tiny("target_encoder.")) {
    tensors.push_back(target);
  }
  const KeyMatch online = match_keys(tensors, "x", {});
  EXPECT_EQ(online.ema.size(), 72u);
  EXPECT_EQ(online.tensors.front().source->spec.name, "blocks.0.attn.proj.bias");
  EXPECT_TRUE(online.unexpected.empty());
  const KeyMatch ema = match_keys(tensors, "x", {.import_ema = true});
  EXPECT_EQ(ema.tensors.front().source->spec.name, "target_encoder.blocks.0.attn.proj.bias");
  EXPECT_NE(error_of([&] { match_keys(tiny(), "x", {.import_ema = true}); }).find("no target (EMA) encoder"),
            std::string::npos);
}

TEST(KeyMatch, OptionalPartsComeWholeOrNotAtAll) {
  const EncoderOptions encoder = encoder_preset("tiny");
  std::vector<StoredTensor> tensors = tiny();
  const PredictorShape shape{.width = 64, .depth = 2, .output = 128};
  for (const auto& part : {fusion_tensors(encoder), predictor_tensors(encoder, shape)}) {
    for (const StoredTensor& tensor : stored(part)) {
      tensors.push_back(tensor);
    }
  }
  for (const StoredTensor& tensor : stored({{.name = "head.weight", .dtype = DType::F32, .shape = {3, 128}},
                                            {.name = "head.bias", .dtype = DType::F32, .shape = {3}}})) {
    tensors.push_back(tensor);
  }
  const KeyMatch whole = match_keys(tensors, "x", {});
  EXPECT_TRUE(whole.fusion);
  EXPECT_EQ(whole.predictor, shape);
  EXPECT_EQ(whole.head_outputs, 3);
  EXPECT_TRUE(whole.warnings.empty());
  EXPECT_TRUE(whole.unexpected.empty());

  drop(tensors, "decoder_blocks.0.norm1.bias");
  get(tensors, "head.bias").spec.shape = {4};
  const KeyMatch less = match_keys(tensors, "x", {});
  EXPECT_TRUE(less.fusion);
  EXPECT_EQ(less.predictor, std::nullopt);
  EXPECT_EQ(less.head_outputs, std::nullopt);
  ASSERT_EQ(less.warnings.size(), 2u);
  EXPECT_NE(less.warnings[0].find("decoder_blocks.0.norm1.bias"), std::string::npos);
  EXPECT_NE(less.warnings[1].find("head.projection.bias: 3 expected, 4 found"), std::string::npos);
}

}  // namespace
}  // namespace slim::model
