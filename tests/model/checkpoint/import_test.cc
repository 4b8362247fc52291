// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "core/atomic_file.h"
#include "core/half.h"
#include "core/sha256.h"
#include "model/checkpoint/init_weights.h"
#include "model/checkpoint/model_tool.h"
#include "model/checkpoint/pth_reader.h"
#include "tests/model/checkpoint/checkpoint_testing.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

using test::error_of;
using test::floats;

/// Makes checkpoints of a tiny random model with make_pth.py.
class Import : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::judges_python()) {
      GTEST_SKIP() << "SLIM_JUDGES names no Python";
    }
    init_model(folder_ / "origin", "tiny", 3);
  }
  fs::path make(const std::string& kind) {
    const fs::path file = folder_ / (kind + ".pth");
    const test::ProgramResult result =
        test::run_program(*test::judges_python(), {SLIM_SOURCE_DIR "/tests/model/checkpoint/make_pth.py",
                                                   kind, folder_ / "origin" / "weights.safetensors", file});
    if (result.exit_code != 0) {
      throw std::runtime_error("make_pth.py: " + result.err);
    }
    return file;
  }
  ModelMade import(const std::string& kind, const ImportOptions& options = {}) {
    return import_pth(make(kind), folder_ / kind, options);
  }
  std::string import_error(const std::string& kind) {
    const fs::path file = make(kind);
    const std::string error = error_of([&] { import_pth(file, folder_ / kind); });
    EXPECT_FALSE(fs::exists(folder_ / kind)) << kind;
    return error;
  }
  /// Largest difference of all weights of an imported model from the origin's, after `expected` was applied
  /// to those.
  void expect_weights(
      const std::string& kind, const std::function<float(float)>& expected = [](float v) { return v; }) {
    const ModelFolder origin = open_model(folder_ / "origin");
    const ModelFolder model = open_model(folder_ / kind);
    for (const TensorSpec& spec : origin.weights.tensors()) {
      ASSERT_NE(model.weights.find(spec.name), nullptr) << kind << " " << spec.name;
      std::vector<float> wanted = floats(origin.weights, spec.name);
      for (float& value : wanted) {
        value = expected(value);
      }
      EXPECT_EQ(floats(model.weights, spec.name), wanted) << kind << " " << spec.name;
    }
  }

  test::TempFolder folder_;
};

TEST_F(Import, TakesEveryLayoutThatTorchWrites) {
  for (const char* kind :
       {"plain", "protocol3", "protocol4", "protocol5", "legacy", "legacy-transposed", "bare", "prefixed",
        "nested", "float64", "parameters", "views", "transposed", "ema"}) {
    const ModelMade made = import(kind);
    EXPECT_EQ(made.card.tensors, 72) << kind;
    EXPECT_TRUE(made.card.trained) << kind;
    expect_weights(kind);
  }
}

TEST_F(Import, WidensHalfPrecisionExactly) {
  import("float16");
  expect_weights("float16", [](float value) { return float_from_half(half_from_float(value)); });
  import("bfloat16");
  expect_weights("bfloat16", [](float value) {
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xFFFF0000u);
  });
}

TEST_F(Import, RepeatsAnExpandedValue) {
  import("expanded");
  const ModelFolder model = open_model(folder_ / "expanded");
  for (const float value : floats(model.weights, "pos_embed_temporal")) {
    EXPECT_EQ(value, 1.0f);
  }
}

TEST_F(Import, SaysWhatIsNotKnownAndWhereItCameFrom) {
  const ModelMade made = import("plain");
  const ModelFolder model = open_model(folder_ / "plain");
  EXPECT_EQ(model.config.background, "unit");
  EXPECT_EQ(model.config.token_mask_sha256, std::nullopt);
  EXPECT_EQ(model.config.zscore, std::nullopt);
  EXPECT_EQ(model.config.repetition_time_s, std::nullopt);
  ASSERT_TRUE(model.card.source.has_value());
  EXPECT_EQ(model.card.source->file, "plain.pth");
  EXPECT_EQ(model.card.source->sha256, sha256_hex(read_text(folder_ / "plain.pth")));
  EXPECT_EQ(model.card.source->epoch, 7);
  EXPECT_EQ(model.card.source->state_key, "model_state_dict");
  ASSERT_EQ(made.warnings.size(), 1u);
  EXPECT_NE(made.warnings[0].find("argparse.Namespace"), std::string::npos);
  EXPECT_NE(inspect(folder_ / "plain").find("z-score             unknown"), std::string::npos);
}

TEST_F(Import, ExecutesNothing) {
  const ModelMade made = import("evil");
  EXPECT_FALSE(fs::exists(folder_ / "evil.pth.executed"));
  ASSERT_FALSE(made.warnings.empty());
  EXPECT_NE(made.warnings[0].find("system"), std::string::npos);
}

TEST_F(Import, RefusesAndListsWhatDoesNotFit) {
  const std::string error = import_error("misshapen");
  for (const char* part :
       {"SB4002", "missing: pos_embed_spatial", "mis-shaped: encoder_norm.weight: 128 expected, 2 x 3 found",
        "mis-shaped: encoder_norm.bias: a floating type expected, int64 found", "unexpected: surplus"}) {
    EXPECT_NE(error.find(part), std::string::npos) << part << "\n" << error;
  }
  EXPECT_NE(import_error("doubled").find("doubled: "), std::string::npos);
  EXPECT_NE(import_error("nan").find("NaN or Inf"), std::string::npos);
  EXPECT_NE(import_error("whole").find("a whole Python object"), std::string::npos);
  EXPECT_NE(import_error("big-endian").find("big-endian"), std::string::npos);
  EXPECT_NE(import_error("compressed").find("compressed or encrypted"), std::string::npos);
  EXPECT_NE(import_error("script").find("TorchScript"), std::string::npos);
}

TEST_F(Import, APartialEncoderNeedsPermissionAndIsNotCalledTrained) {
  EXPECT_NE(import_error("partial").find("missing: encoder_norm.bias"), std::string::npos);
  const ModelMade made = import("partial", {.allow_partial = {"encoder_norm"}, .seed = 8});
  EXPECT_FALSE(made.card.trained);
  EXPECT_EQ(made.card.initialised_tensors,
            (std::vector<std::string>{"encoder_norm.bias", "encoder_norm.weight"}));
  const ModelFolder model = open_model(folder_ / "partial");
  EXPECT_EQ(floats(model.weights, "encoder_norm.weight"), std::vector<float>(128, 1.0f));
  EXPECT_NE(read_text(folder_ / "partial" / "README.md").find("Not a trained model"), std::string::npos);
  EXPECT_NE(untrained_note(model.card).find("2 of its tensors"), std::string::npos);
}

TEST_F(Import, TakesTheTargetEncoderWhenAsked) {
  const ModelMade made = import("ema", {.import_ema = true});
  EXPECT_TRUE(made.card.source->ema);
  expect_weights("ema", [](float value) { return 2.0f * value; });
}

TEST_F(Import, KeepsFusionPredictorAndHead) {
  const ModelMade made = import("parts");
  const ModelFolder model = open_model(folder_ / "parts");
  EXPECT_TRUE(model.config.fusion);
  EXPECT_EQ(model.config.predictor, (PredictorShape{.width = 64, .depth = 2, .output = 128}));
  EXPECT_EQ(model.config.head_outputs, 3);
  EXPECT_EQ(made.card.parameters, 515'840 + 590'080 + 254'976 + 3 * 128 + 3);
  EXPECT_TRUE(made.warnings.empty());
  expect_weights("parts");
}

TEST_F(Import, ExportAndImportGiveTheSameWeights) {
  import("parts");
  EXPECT_EQ(export_pth(folder_ / "parts", folder_ / "out.pth"),
            static_cast<int64_t>(open_model(folder_ / "parts").weights.tensors().size()));
  import_pth(folder_ / "out.pth", folder_ / "again");
  EXPECT_EQ(read_text(folder_ / "again" / "weights.safetensors"),
            read_text(folder_ / "parts" / "weights.safetensors"));
  EXPECT_TRUE(open_model(folder_ / "again").card.trained);
}

TEST_F(Import, AnUntrainedModelStaysKnownAsOneThroughExport) {
  export_pth(folder_ / "origin", folder_ / "out.pth");
  const ModelMade made = import_pth(folder_ / "out.pth", folder_ / "again");
  EXPECT_FALSE(made.card.trained);
  EXPECT_NE(untrained_note(made.card).find("untrained"), std::string::npos);
  EXPECT_NE(read_text(folder_ / "again" / "README.md").find("**Untrained.**"), std::string::npos);
  expect_weights("again");
}

TEST_F(Import, InspectDescribesAllKinds) {
  const std::string pth = inspect(make("ema"));
  for (const char* part : {"PyTorch checkpoint  zip", "state dict          model", "fits preset         tiny",
                           "target encoder      72 tensors", "unexpected: extra.thing", "words  uint16  4"}) {
    EXPECT_NE(pth.find(part), std::string::npos) << part << "\n" << pth;
  }
  const std::string weights = inspect(folder_ / "origin" / "weights.safetensors");
  EXPECT_NE(weights.find("trained             false"), std::string::npos) << weights;
  EXPECT_NE(weights.find("pos_embed_spatial  F32  1 x 13824 x 16"), std::string::npos) << weights;
  EXPECT_TRUE(error_of([&] { inspect(folder_ / "none.pth"); }).starts_with("SB2101"));
}

}  // namespace
}  // namespace slim::model
