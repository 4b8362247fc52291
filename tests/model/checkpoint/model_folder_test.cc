// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/model_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/json_file.h"
#include "core/sha256.h"
#include "core/token_set.h"
#include "model/checkpoint/model_json.h"
#include "model/checkpoint/model_tool.h"
#include "tests/model/checkpoint/checkpoint_testing.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

using nlohmann::json;
using test::error_of;

TEST(ModelFolder, InitMakesAnUntrainedModelOfTheNamedPreset) {
  const test::TempFolder folder;
  const ModelMade made = init_model(folder / "models" / "model-toy1", "tiny", 5);
  EXPECT_EQ(made.card.name, "toy1");
  EXPECT_EQ(made.card.tensors, 72);
  EXPECT_EQ(made.card.parameters, 515'840);
  EXPECT_NE(untrained_note(made.card).find("untrained"), std::string::npos);

  const ModelFolder model = open_model(folder / "models" / "model-toy1");
  EXPECT_FALSE(model.card.trained);
  EXPECT_EQ(model.card.made_by, "init");
  EXPECT_EQ(model.card.seed, 5u);
  EXPECT_EQ(model.config.encoder.preset, "tiny");
  EXPECT_EQ(model.config.background, "token");
  EXPECT_EQ(model.config.token_mask_sha256, packaged_token_set().mask_sha256);
  EXPECT_EQ(model.config.zscore, "run");
  EXPECT_EQ(model.config.repetition_time_s, 0.72);
  EXPECT_EQ(model.card.weights_sha256, sha256_hex(read_text(model.path / "weights.safetensors")));
  EXPECT_EQ(model.weights.metadata().at("trained"), "false");
  EXPECT_NE(read_text(model.path / "README.md").find("**Untrained.**"), std::string::npos);
  EXPECT_NE(inspect(model.path).find("trained             NO."), std::string::npos);
}

TEST(ModelFolder, EqualSeedsGiveEqualBytesAndOthersDoNot) {
  const test::TempFolder folder;
  init_model(folder / "a" / "model-x", "tiny", 5);
  init_model(folder / "b" / "model-x", "tiny", 5);
  init_model(folder / "c" / "model-x", "tiny", 6);
  for (const char* file : {"weights.safetensors", "config.json", "model.json", "README.md"}) {
    EXPECT_EQ(read_text(folder / "a" / "model-x" / file), read_text(folder / "b" / "model-x" / file)) << file;
  }
  EXPECT_NE(read_text(folder / "a" / "model-x" / "weights.safetensors"),
            read_text(folder / "c" / "model-x" / "weights.safetensors"));
}

TEST(ModelFolder, NothingIsOverwrittenAndNothingIsLeftBehind) {
  const test::TempFolder folder;
  init_model(folder / "m", "tiny", 1);
  EXPECT_TRUE(error_of([&] { init_model(folder / "m", "tiny", 2); }).starts_with("SB5001"));
  EXPECT_EQ(open_model(folder / "m").card.seed, 1u);
  write_text(folder / "file", "x");
  EXPECT_TRUE(error_of([&] { init_model(folder / "file", "tiny", 2); }).starts_with("SB5001"));
  EXPECT_TRUE(error_of([&] { init_model(folder / "other", "huge", 2); }).starts_with("SB1002"));
  EXPECT_TRUE(error_of([&] { init_model(folder / "---", "tiny", 2); }).starts_with("SB1002"));
  EXPECT_TRUE(error_of([&] { init_model(folder / "other", "tiny", 2, "a_b"); }).starts_with("SB1002"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 2);
}

TEST(ModelFolder, AFailingWeightLeavesNoFolder) {
  const test::TempFolder folder;
  ModelConfig config{.encoder = encoder_preset("tiny"), .grid = "slim96-2mm"};
  std::vector<WeightSource> weights;
  for (const TensorSpec& spec : encoder_tensors(config.encoder)) {
    weights.push_back(
        {.spec = spec, .make = [spec] { return std::vector<float>(static_cast<size_t>(spec.count())); }});
  }
  weights[40].make = []() -> std::vector<float> { throw std::runtime_error("the disk burns"); };
  EXPECT_THROW(write_model(folder / "m", config, {.name = "m", .made_by = "init"}, weights),
               std::runtime_error);
  weights[40].make = [] { return std::vector<float>(1); };
  EXPECT_TRUE(error_of([&] {
                write_model(folder / "m", config, {.name = "m", .made_by = "init"}, weights);
              }).starts_with("SB9001"));
  weights.pop_back();
  weights[40].make = [spec = weights[40].spec] {
    return std::vector<float>(static_cast<size_t>(spec.count()));
  };
  EXPECT_TRUE(error_of([&] {
                write_model(folder / "m", config, {.name = "m", .made_by = "init"}, weights);
              }).starts_with("SB4002"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(ModelFolder, AnEmptyFolderAndATrailingSlashAreFine) {
  const test::TempFolder folder;
  fs::create_directory(folder / "m");
  init_model((folder / "m").string() + "/", "tiny", 1);
  EXPECT_EQ(open_model(folder / "m").card.name, "m");
}

TEST(ModelFolder, WhatIsMissingIsNamed) {
  const test::TempFolder folder;
  EXPECT_TRUE(error_of([&] { open_model(folder / "none"); }).starts_with("SB4001"));
  for (const char* file : {"weights.safetensors", "config.json", "model.json"}) {
    const fs::path model = folder / (std::string("without-") + file);
    init_model(model, "tiny", 1);
    fs::remove(model / file);
    const std::string error = error_of([&] { open_model(model); });
    EXPECT_TRUE(error.starts_with("SB2101")) << error;
    EXPECT_NE(error.find(file), std::string::npos) << error;
  }
}

/// Changes one of a model's JSON files and returns the error that opening gives then.
std::string error_after(const std::string& file, const std::function<void(json&)>& change) {
  const test::TempFolder folder;
  init_model(folder / "m", "tiny", 1);
  json content = read_json(folder / "m" / file);
  change(content);
  write_text(folder / "m" / file, content.dump());
  return error_of([&] { open_model(folder / "m"); });
}

TEST(ModelFolder, EveryKeyIsNeededAndNoOtherIsAccepted) {
  const test::TempFolder folder;
  init_model(folder / "m", "tiny", 1);
  for (const char* file : {"config.json", "model.json"}) {
    const json content = read_json(folder / "m" / file);
    for (const auto& [key, value] : content.items()) {
      const std::string error = error_after(file, [name = key](json& changed) { changed.erase(name); });
      EXPECT_TRUE(error.starts_with("SB4002")) << file << " " << key << ": " << error;
      EXPECT_NE(error.find("\"" + key + "\""), std::string::npos) << error;
    }
    const std::string error = error_after(file, [](json& changed) { changed["surprise"] = 1; });
    EXPECT_TRUE(error.starts_with("SB4002")) << error;
    EXPECT_NE(error.find("\"surprise\""), std::string::npos) << error;
  }
}

TEST(ModelFolder, ImpossibleValuesAreRefused) {
  const auto refused = [](const std::string& file, const std::string& key, const json& value) {
    const std::string error =
        error_after(file, [&](json& content) { content[json::json_pointer(key)] = value; });
    EXPECT_TRUE(error.starts_with("SB4002")) << key << " = " << value << ": " << error;
  };
  refused("config.json", "/format", 2);
  refused("config.json", "/preset", "base");
  refused("config.json", "/preset", "huge");
  refused("config.json", "/encoder/embed_dim", 32);
  refused("config.json", "/encoder/embed_dim", 16.0);
  refused("config.json", "/encoder/stage_blocks", {1, 1, 2});
  refused("config.json", "/encoder/surprise", 1);
  refused("config.json", "/encoder", nullptr);
  refused("config.json", "/fusion", 1);
  refused("config.json", "/fusion", true);
  refused("config.json", "/predictor", {{"width", 64}});
  refused("config.json", "/background", "all");
  refused("config.json", "/grid", "mni");
  refused("config.json", "/token_mask_sha256", "1a2b");
  refused("config.json", "/zscore", "frame");
  refused("config.json", "/repetition_time_s", -1);
  refused("model.json", "/format", "1");
  refused("model.json", "/name", "a b");
  refused("model.json", "/trained", true);
  refused("model.json", "/trained", "no");
  refused("model.json", "/made_by", "magic");
  refused("model.json", "/seed", -1);
  refused("model.json", "/tensors", 71);
  refused("model.json", "/parameters", 1);
  refused("model.json", "/weights_sha256", std::string(64, '0'));
}

TEST(ModelFolder, ASwappedWeightsFileIsNoticed) {
  const test::TempFolder folder;
  init_model(folder / "a", "tiny", 1);
  init_model(folder / "b", "tiny", 2);
  fs::copy_file(folder / "b" / "weights.safetensors", folder / "a" / "weights.safetensors",
                fs::copy_options::overwrite_existing);
  const std::string error = error_of([&] { open_model(folder / "a"); });
  EXPECT_TRUE(error.starts_with("SB4002")) << error;
  EXPECT_NE(error.find("SHA-256"), std::string::npos) << error;
}

TEST(ModelFolder, ConfigurationAndCardSurviveTheirTexts) {
  const ModelConfig config{.encoder = encoder_preset("base"),
                           .fusion = true,
                           .predictor = PredictorShape{.width = 384, .depth = 6, .output = 512},
                           .head_outputs = 3,
                           .objective = "jepa",
                           .background = "unit",
                           .grid = kSlimGridName};
  EXPECT_EQ(config_text(config_from(json::parse(config_text(config)), "x")), config_text(config));
  const ModelCard card{.name = "a1",
                       .trained = true,
                       .made_by = "import",
                       .source = ModelSource{.file = "x\xff.pth",
                                             .sha256 = std::string(64, 'a'),
                                             .container = "legacy",
                                             .state_key = "",
                                             .epoch = 39,
                                             .ema = true},
                       .tensors = 3,
                       .parameters = 4,
                       .weights_sha256 = std::string(64, 'b')};
  EXPECT_EQ(card_text(card_from(json::parse(card_text(card)), "x")), card_text(card));
}

TEST(ModelLabel, KeepsLettersAndDigits) {
  EXPECT_EQ(model_label("my-model_2.1"), "mymodel21");
  EXPECT_EQ(model_label("Ab9"), "Ab9");
  EXPECT_THROW(model_label("--"), Error);
}

}  // namespace
}  // namespace slim::model
