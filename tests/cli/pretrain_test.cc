// SPDX-License-Identifier: Apache-2.0
// Pre-training from the command line: what is learnt, stopped, continued and refused.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

/// Clip stores of 6 participants, one run of 40 frames each (made once a process), and their cohort.
struct Prepared {
  TempFolder folder;
  fs::path cohort = folder / "cohort", out = folder / "out";
  Prepared() {
    const ProgramResult made =
        run_program(program("make_toy_dataset"),
                    {cohort.string(), "--subjects", "6", "--frames", "40", "--tr", "0.72", "--form", "mni"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    const ProgramResult prepared = slimbrain({cohort, out, "participant", "--stages", "prep"});
    EXPECT_EQ(prepared.exit_code, 0) << prepared.err;
  }
};

const Prepared& prepared() {
  static const Prepared all;
  return all;
}

class Pretrain : public ::testing::Test {
 protected:
  void SetUp() override { fs::copy(prepared().out, out_, fs::copy_options::recursive); }
  ProgramResult pretrain(std::vector<std::string> extra = {}, const ProgramOptions& options = {}) {
    std::vector<std::string> words{"-",        out_,       "group",        "--stages", "pretrain",
                                   "--preset", "tiny",     "--model-name", "ours",     "--nprocs",
                                   "2",        "--device", "cpu"};
    words.insert(words.end(), extra.begin(), extra.end());
    return slimbrain(words, options);
  }
  TempFolder folder_;
  fs::path out_ = folder_ / "out";
  fs::path model_ = out_ / "models/model-ours";
};

TEST_F(Pretrain, AStoppedTrainingGoesOnToTheSameWeightsAndTheModelEmbeds) {
  const ProgramResult straight = pretrain({"--epochs", "2"});
  ASSERT_EQ(straight.exit_code, 0) << straight.err;
  const std::string weights = read_text(model_ / "weights.safetensors");
  const auto card = nlohmann::json::parse(read_text(model_ / "model.json"));
  EXPECT_EQ(card.at("trained"), true);
  EXPECT_EQ(card.at("training").at("participants"), 4);
  EXPECT_EQ(card.at("training").at("steps"), 4);
  EXPECT_EQ(bids::read_tsv(model_ / "history.tsv").rows.size(), 2u);
  EXPECT_EQ(bids::read_tsv(model_ / "splits.tsv").rows.size(), 6u);
  EXPECT_FALSE(fs::exists(out_ / "models/.training-ours"));

  const ProgramResult embedded =
      slimbrain({prepared().cohort, out_, "participant", "--stages", "embed", "--model", "ours"});
  ASSERT_EQ(embedded.exit_code, 0) << embedded.err;
  EXPECT_EQ(embedded.err.find("untrained"), std::string::npos) << embedded.err;

  const ProgramResult again = pretrain({"--epochs", "2"});
  EXPECT_EQ(again.exit_code, 73) << again.err;

  fs::remove_all(model_);
  int stops = 0;
  // The moments differ from machine to machine; wherever the signal falls, the end must be the same.
  for (int call = 0; call < 12 && !fs::exists(model_); ++call) {
    const ProgramResult result = pretrain(
        {"--epochs", "2"}, {.signal_after = std::chrono::milliseconds(400 + 500 * call), .signal = SIGTERM});
    ASSERT_TRUE(result.exit_code == 75 || result.exit_code == 0 || result.exit_code == 128 + SIGTERM)
        << result.exit_code << result.err;
    stops += result.exit_code == 75 ? 1 : 0;
  }
  EXPECT_GE(stops, 1);
  if (!fs::exists(model_)) {
    ASSERT_EQ(pretrain({"--epochs", "2"}).exit_code, 0);
  }
  EXPECT_EQ(read_text(model_ / "weights.safetensors"), weights);
  EXPECT_EQ(bids::read_tsv(model_ / "history.tsv").rows.size(), 2u);
}

TEST_F(Pretrain, OtherSettingsThanTheCheckpointsAreNamed) {
  fs::path checkpoint = out_ / "models/.training-ours/checkpoints/latest";
  for (int wait = 3000; wait < 15000 && !fs::exists(checkpoint); wait += 1500) {
    pretrain({"--epochs", "50"}, {.signal_after = std::chrono::milliseconds(wait), .signal = SIGTERM});
  }
  ASSERT_TRUE(fs::exists(checkpoint));
  const ProgramResult result = pretrain({"--epochs", "50", "--seed", "2"});
  EXPECT_EQ(result.exit_code, 64) << result.err;
  EXPECT_NE(result.err.find("SB1008"), std::string::npos);
  EXPECT_NE(result.err.find("seed"), std::string::npos) << result.err;
}

TEST_F(Pretrain, MaskedReconstructionMakesAModelToo) {
  const ProgramResult result = pretrain({"--epochs", "1", "--objective", "mae"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto config = nlohmann::json::parse(read_text(model_ / "config.json"));
  EXPECT_EQ(config.at("objective"), "mae");
}

TEST_F(Pretrain, TooFewParticipantsAndBadWordsAreRefused) {
  for (const char* label : {"02", "03", "04", "05", "06"}) {
    fs::remove_all(out_ / (std::string("sub-") + label));
  }
  const ProgramResult few = pretrain();
  EXPECT_EQ(few.exit_code, 66) << few.err;
  EXPECT_NE(few.err.find("SB3002"), std::string::npos);
  EXPECT_NE(pretrain({"--preset", "huge"}).exit_code, 0);
  EXPECT_NE(pretrain({"--objective", "guess"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(model_));
}

}  // namespace
}  // namespace slim::test
