// SPDX-License-Identifier: Apache-2.0
// Stage 1 from the command line: trained within pretrain, stopped and continued, used by embed.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>

#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "core/slim_grid.h"
#include "image/nifti_io.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

/// Clip stores of 6 participants, one run of 60 frames each (made once a process), and their cohort.
const ToyStudy& prepared() {
  static const ToyStudy all({"--subjects", "6", "--frames", "60", "--tr", "0.72", "--form", "mni"},
                            {"--stages", "prep"});
  return all;
}

nlohmann::json json_of(const fs::path& path) { return nlohmann::json::parse(read_text(path)); }

class Stage1 : public ::testing::Test {
 protected:
  void SetUp() override { fs::copy(prepared().out, out_, fs::copy_options::recursive); }
  ProgramResult pretrain(const std::vector<std::string>& extra, const ProgramOptions& options = {}) {
    const bool says_epochs = std::find(extra.begin(), extra.end(), "--epochs") != extra.end();
    const std::vector<std::string> words{"-",        out_,       "group",        "--stages", "pretrain",
                                         "--preset", "tiny",     "--model-name", "ours",     "--nprocs",
                                         "2",        "--device", "cpu"};
    return slimbrain(joined(says_epochs ? words : joined(words, {"--epochs", "1"}), extra), options);
  }
  ProgramResult embed(const std::vector<std::string>& extra = {}) {
    return slimbrain(joined({prepared().cohort, out_, "participant", "--stages", "embed", "--model", "ours",
                             "--participant-label", "01", "--nprocs", "2", "--device", "cpu"},
                            extra));
  }
  fs::path of_run(const std::string& rest) const {
    return out_ / "sub-01/func" / ("sub-01_task-rest_space-MNI152NLin6Asym_res-slim_desc-" + rest);
  }
  nlohmann::json block_of(const std::string& rest) const { return json_of(of_run(rest)).at("Slimbrain"); }

  TempFolder folder_;
  fs::path out_ = folder_ / "out";
  fs::path model_ = out_ / "models/model-ours", training_ = out_ / "models/.training-ours";
};

TEST_F(Stage1, IsTrainedWithinPretrainAndChoosesTheWindowsOfEmbed) {
  const ProgramResult trained = pretrain({"--stage1-epochs", "3"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_NE(trained.err.find("by mutual_source"), std::string::npos) << trained.err;
  EXPECT_NE(trained.err.find("stage 1: 3 steps, skill"), std::string::npos) << trained.err;
  EXPECT_EQ(bids::read_tsv(model_ / "stage1/history.tsv").rows.size(), 3u);
  EXPECT_TRUE(fs::exists(model_ / "stage1/events.out.tfevents.slimbrain"));
  EXPECT_FALSE(fs::exists(training_));
  const nlohmann::json stage1 = json_of(model_ / "config.json").at("stage1");
  EXPECT_EQ(stage1.at("atlas"), "grid");
  EXPECT_FALSE(fs::exists(model_ / "atlas.safetensors"));  // every program knows the cells

  const ProgramResult first = embed();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const bids::Table windows = bids::read_tsv(of_run("ourswindows_timeseries.tsv"));
  ASSERT_EQ(windows.rows.size(), 12u);
  EXPECT_TRUE(bids::to_number(*windows.cell(0, "score")).has_value());
  const nlohmann::json table = block_of("ourswindows_timeseries.json"),
                       embedding = block_of("ours_embedding.json");
  for (const nlohmann::json& block : {table, embedding}) {
    EXPECT_EQ(block.at("Ranker"), "mutual_source");
    EXPECT_EQ(block.at("Stage1WeightsSHA256").get<std::string>().size(), 64u);
    EXPECT_EQ(block.at("Atlas").at("SHA256"), stage1.at("atlas_sha256"));
  }
  EXPECT_NE(embed().last_line().find("0 done, 1 up to date"), std::string::npos);
  // Another choice is another embedding.
  const ProgramResult random = embed({"--ranker", "random", "--seed", "5"});
  EXPECT_NE(random.last_line().find("1 done"), std::string::npos) << random.err;
  EXPECT_EQ(block_of("ours_embedding.json").at("Seed"), 5);
  EXPECT_NE(embed({"--ranker", "random", "--seed", "6"}).last_line().find("1 done"), std::string::npos);
  EXPECT_NE(embed({"--ranker", "leave_one_out"}).last_line().find("1 done"), std::string::npos);

  const fs::path pth = folder_ / "ours.pth";
  const ProgramResult exported =
      run_program(program("slimbrain-model"), {"export", model_.string(), pth.string()});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_EQ(read_text(pth).find("global_mae"), std::string::npos);
}

TEST_F(Stage1, StoppedAnywhereTheSameCallEndsInTheSameModel) {
  const std::vector<std::string> words{"--stage1-epochs", "150", "--ranker", "mutual_sum"};
  const ProgramResult straight = pretrain(words);
  ASSERT_EQ(straight.exit_code, 0) << straight.err;
  const std::string weights = read_text(model_ / "weights.safetensors");
  fs::remove_all(model_);
  int stops = 0, stopped_in_stage1 = 0;
  for (int call = 0; call < 20 && !fs::exists(model_); ++call) {
    const ProgramResult result =
        pretrain(words, {.signal_after = std::chrono::milliseconds(700 + 500 * call), .signal = SIGTERM});
    ASSERT_TRUE(result.exit_code == 75 || result.exit_code == 0 || result.exit_code == 128 + SIGTERM)
        << result.exit_code << result.err;
    stops += result.exit_code == 75 ? 1 : 0;
    stopped_in_stage1 += result.err.find("Stage 1 was stopped after step") != std::string::npos ? 1 : 0;
  }
  EXPECT_GE(stops, 1);
  EXPECT_GE(stopped_in_stage1, 1);
  if (!fs::exists(model_)) {
    ASSERT_EQ(pretrain(words).exit_code, 0);
  }
  EXPECT_TRUE(read_text(model_ / "weights.safetensors") == weights);
  EXPECT_EQ(bids::read_tsv(model_ / "stage1/history.tsv").rows.size(), 150u);
}

TEST_F(Stage1, WhatIsDoneIsNotDoneAgainByTheNextCall) {
  const std::vector<std::string> words{"--stage1-epochs", "2", "--epochs", "90"};
  const auto times = [&] {
    std::map<std::string, fs::file_time_type> all{
        {"stage 1", fs::last_write_time(training_ / "stage1/checkpoints/latest")}};
    for (const fs::directory_entry& entry : fs::directory_iterator(training_ / "windows")) {
      all.emplace(entry.path().filename(), entry.last_write_time());
    }
    return all;
  };
  const fs::path checkpoint = training_ / "checkpoints/latest";
  for (int wait = 1000; wait < 70000 && !fs::exists(checkpoint); wait *= 2) {
    const ProgramResult begun =
        pretrain(words, {.signal_after = std::chrono::milliseconds(wait), .signal = SIGTERM});
    ASSERT_EQ(begun.exit_code, 75) << begun.err;
  }
  ASSERT_TRUE(fs::exists(checkpoint));
  const auto before = times();
  EXPECT_EQ(before.size(), 6u);  // stage 1, and 5 runs of 4 training and 1 validation participants
  const std::string step = read_text(checkpoint);
  for (int wait = 1000; wait < 70000 && read_text(checkpoint) == step; wait *= 2) {
    const ProgramResult next =
        pretrain(words, {.signal_after = std::chrono::milliseconds(wait), .signal = SIGTERM});
    EXPECT_EQ(next.err.find("stage 1: epoch"), std::string::npos) << next.err;
  }
  EXPECT_NE(read_text(checkpoint), step);
  EXPECT_EQ(times(), before);
}

TEST_F(Stage1, CanBeLeftOut) {
  const ProgramResult trained = pretrain({"--stage1-epochs", "0"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_NE(trained.err.find("by uniform"), std::string::npos) << trained.err;
  EXPECT_TRUE(json_of(model_ / "config.json").at("stage1").is_null());
  EXPECT_FALSE(fs::exists(model_ / "stage1"));
  ASSERT_EQ(embed().exit_code, 0);
  EXPECT_EQ(block_of("ours_embedding.json").at("Ranker"), "all");
  EXPECT_FALSE(fs::exists(of_run("ourswindows_timeseries.tsv")));
  const ProgramResult refused = embed({"--ranker", "mutual_source"});
  EXPECT_EQ(refused.exit_code, 66) << refused.err;
  EXPECT_NE(refused.err.find("SB4001"), std::string::npos);
  const ProgramResult contradiction = pretrain({"--stage1-epochs", "0", "--ranker", "mutual_sum", "--force"});
  EXPECT_EQ(contradiction.exit_code, 66) << contradiction.err;
  EXPECT_TRUE(fs::exists(model_));  // a call that is refused throws nothing away
}

TEST_F(Stage1, ReadsTheRegionsOfALabelImageAndTheModelCarriesThem) {
  image::VoxelGrid grid = image::slim_grid();
  std::vector<float> labels(static_cast<size_t>(grid.voxels()));
  for (size_t v = 0; v < labels.size(); ++v) {
    labels[v] = static_cast<float>(1 + v % kSlimSize / 24 + 10 * (v / (kSlimSize * kSlimSize) / 24));
  }
  const fs::path atlas = folder_ / "blocks.nii.gz";
  image::write_nifti(atlas, grid, labels, {});
  const ProgramResult trained = pretrain({"--stage1-epochs", "2", "--atlas", "Blocks=" + atlas.string()});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const nlohmann::json stage1 = json_of(model_ / "config.json").at("stage1");
  EXPECT_EQ(stage1.at("atlas"), "Blocks");
  EXPECT_EQ(stage1.at("rois"), 16);
  fs::remove(atlas);
  const ProgramResult embedded = embed();
  ASSERT_EQ(embedded.exit_code, 0) << embedded.err;
  EXPECT_EQ(block_of("ours_embedding.json").at("Atlas").at("Name"), "Blocks");
  fs::remove(model_ / "atlas.safetensors");
  const ProgramResult lost = embed();
  EXPECT_EQ(lost.exit_code, 66) << lost.err;
  EXPECT_NE(lost.err.find("SB2101"), std::string::npos) << lost.err;
}

}  // namespace
}  // namespace slim::test
