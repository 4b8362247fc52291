// SPDX-License-Identifier: Apache-2.0
// Pre-training from the command line: what is learnt, stopped, continued and refused.
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <random>

#include "bids/tsv.h"
#include "clips/clip_store.h"
#include "core/atomic_file.h"
#include "tests/cli/toy.h"
#include "tests/support/small_disk.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

/// Clip stores of 6 participants, one run of 40 frames each (made once a process), and their cohort.
const ToyStudy& prepared() {
  static const ToyStudy all({"--subjects", "6", "--frames", "40", "--tr", "0.72", "--form", "mni"},
                            {"--stages", "prep"});
  return all;
}

class Pretrain : public ::testing::Test {
 protected:
  void SetUp() override { fs::copy(prepared().out, out_, fs::copy_options::recursive); }
  /// Stage 2 alone.
  ProgramResult pretrain(const std::vector<std::string>& extra = {}, const ProgramOptions& options = {}) {
    return slimbrain(joined({"-", out_, "group", "--stages", "pretrain", "--preset", "tiny", "--model-name",
                             name_, "--stage1-epochs", "0", "--nprocs", "2", "--device", "cpu"},
                            extra),
                     options);
  }
  /// Calls until a stopped training has left a checkpoint; whether it has.
  bool interrupted(const std::vector<std::string>& extra) {
    const fs::path checkpoint = out_ / "models/.training-ours/checkpoints/latest";
    for (int wait = 500; wait < 200000 && !fs::exists(checkpoint) && !fs::exists(model_);
         wait = 3 * wait / 2) {
      pretrain(extra, {.signal_after = std::chrono::milliseconds(wait), .signal = SIGTERM});
    }
    return fs::exists(checkpoint);
  }
  TempFolder folder_;
  std::string name_ = "ours";
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

TEST_F(Pretrain, KilledAtRandomMomentsTheSameCallEndsInTheSameWeights) {
  const auto start = std::chrono::steady_clock::now();
  const ProgramResult straight = pretrain({"--epochs", "2"});
  ASSERT_EQ(straight.exit_code, 0) << straight.err;
  const auto taken =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  const std::string weights = read_text(model_ / "weights.safetensors");
  std::mt19937 random(20260102);
  int kills = 0;
  for (int strike = 0; strike < 30 && kills < 4; ++strike) {
    if (fs::exists(model_)) {  // it was faster than the strike: again from the front
      EXPECT_EQ(read_text(model_ / "weights.safetensors"), weights);
      fs::remove_all(model_);
    }
    const auto delay = std::chrono::milliseconds(random() % static_cast<unsigned>(taken.count()));
    const ProgramResult result = pretrain({"--epochs", "2"}, {.signal_after = delay, .signal = SIGKILL});
    ASSERT_TRUE(result.exit_code == 128 + SIGKILL || result.exit_code == 0) << result.err;
    kills += result.exit_code == 128 + SIGKILL ? 1 : 0;
  }
  EXPECT_EQ(kills, 4);
  if (!fs::exists(model_)) {
    const ProgramResult last = pretrain({"--epochs", "2"});
    ASSERT_EQ(last.exit_code, 0) << last.err;
  }
  EXPECT_EQ(read_text(model_ / "weights.safetensors"), weights);
  EXPECT_EQ(bids::read_tsv(model_ / "history.tsv").rows.size(), 2u);
  const std::string metrics = read_text(model_ / "metrics.jsonl");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 4);
}

TEST_F(Pretrain, OtherSettingsThanTheCheckpointsAreNamedAndForceStartsAnew) {
  ASSERT_TRUE(interrupted({"--epochs", "50"}));
  for (const auto& [flag, value, sentence] :
       {std::array{"--seed", "2", "has seed 1, this call has 2."},
        {"--batch-size", "2", "has batch_size 1, this call has 2."},
        {"--learning-rate", "0.002", "has learning_rate 0.001, this call has 0.002."},
        {"--objective", "mae", "has objective jepa, this call has mae."}}) {
    const ProgramResult result = pretrain({"--epochs", "50", flag, value});
    EXPECT_EQ(result.exit_code, 64) << result.err;
    EXPECT_NE(result.err.find("SB1008"), std::string::npos);
    EXPECT_NE(result.err.find(sentence), std::string::npos) << result.err;
  }
  const ProgramResult forced = pretrain({"--epochs", "1", "--seed", "2", "--force"});
  ASSERT_EQ(forced.exit_code, 0) << forced.err;
  name_ = "fresh";
  const ProgramResult fresh = pretrain({"--epochs", "1", "--seed", "2"});
  ASSERT_EQ(fresh.exit_code, 0) << fresh.err;
  name_ = "ours";
  const std::string weights = read_text(model_ / "weights.safetensors");
  EXPECT_TRUE(weights == read_text(out_ / "models/model-fresh/weights.safetensors"));
  // A call that is refused has not thrown the model away.
  EXPECT_EQ(pretrain({"--force", "--precision", "bf16"}).exit_code, 64);
  EXPECT_TRUE(weights == read_text(model_ / "weights.safetensors"));
}

TEST_F(Pretrain, MoreMemoryOrLessGivesTheSameWeights) {
  ASSERT_EQ(pretrain({"--epochs", "1"}).exit_code, 0);
  name_ = "recomputed";
  const ProgramResult shown = pretrain({"--epochs", "1", "--recompute", "--progress", "bar"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_TRUE(read_text(model_ / "weights.safetensors") ==
              read_text(out_ / "models/model-recomputed/weights.safetensors"));
  for (const char* part : {"\r", "[####", " 2/2 ", "loss ", " left, ", "clips/s, lr "}) {
    EXPECT_NE(shown.err.find(part), std::string::npos) << part << " is missing in the bar:\n" << shown.err;
  }
}

TEST_F(Pretrain, ALossThatIsNotFiniteMakesNoModel) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(out_)) {
    if (!entry.path().string().ends_with("_clips.safetensors")) {
      continue;
    }
    const clips::ClipStore store = clips::ClipStore::open(entry.path());
    std::vector<uint16_t> bold(static_cast<size_t>(store.n_frames() * store.frame_values()));
    store.read_frames(0, store.n_frames(), bold);
    for (uint16_t& value : bold) {
      value = value == 0 ? 0 : 0x7c00;  // infinite
    }
    const std::vector<uint8_t> valid(store.valid().begin(), store.valid().end());
    const auto metadata = store.metadata();
    clips::write_clip_store(
        entry.path(), {.n_frames = store.n_frames(), .bold = bold, .valid = valid, .metadata = metadata});
  }
  const ProgramResult result = pretrain();
  EXPECT_EQ(result.exit_code, 65) << result.err;
  EXPECT_NE(result.err.find("SB4005: The loss or its gradient is not a finite number at step 1."),
            std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("--force"), std::string::npos);
  EXPECT_FALSE(fs::exists(model_));
}

TEST_F(Pretrain, AFullDiskAtACheckpointLeavesThePreviousOneToGoOnFrom) {
  const std::vector<std::string> words{"--epochs", "2", "-d", "prepared=" + prepared().out.string()};
  const fs::path disk = folder_ / "disk";
  const auto empty_output = [&](const fs::path& out) {
    fs::create_directory(out);
    fs::copy(prepared().out / "dataset_description.json", out);
    out_ = out;
    model_ = out / "models/model-ours";
  };
  empty_output(folder_ / "plain");
  ASSERT_EQ(pretrain(words).exit_code, 0);
  const std::string weights = read_text(model_ / "weights.safetensors");
  fs::create_directory(disk);
  on_small_disk(disk, 512 << 20, [&] {
    empty_output(disk / "out");
    EXPECT_TRUE(interrupted(words));
    const fs::path checkpoints = out_ / "models/.training-ours/checkpoints";
    const auto before = tree_hashes(checkpoints, {});
    const std::string latest = read_text(checkpoints / "latest");
    fill_up_to(disk,
               fs::file_size(checkpoints / latest.substr(0, latest.size() - 1) / "state.safetensors") / 2);
    const ProgramResult full = pretrain(words);
    EXPECT_EQ(full.exit_code, 74) << full.err;
    EXPECT_NE(full.err.find("SB5002"), std::string::npos) << full.err;
    EXPECT_NE(full.err.find("free some space"), std::string::npos) << full.err;
    EXPECT_EQ(tree_hashes(checkpoints, {}), before);
    EXPECT_FALSE(fs::exists(model_));
    fs::remove(disk / "ballast");
    const ProgramResult again = pretrain(words);
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_NE(again.err.find("going on after step"), std::string::npos) << again.err;
    EXPECT_TRUE(read_text(model_ / "weights.safetensors") == weights);
  });
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
