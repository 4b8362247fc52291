// SPDX-License-Identifier: Apache-2.0
// The group level: tables built from output folders alone.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

class Group : public ::testing::Test {
 protected:
  ProgramResult participant(const fs::path& out, const std::vector<std::string>& extra = {}) {
    return slimbrain(joined({small_cohort(), out, "participant", "--model", toy_model()}, extra));
  }
  TempFolder folder_;
  fs::path out_ = folder_ / "out";
};

TEST_F(Group, TablesHoldEveryRunAndItsMeanEmbedding) {
  ASSERT_EQ(participant(out_).exit_code, 0);
  const ProgramResult result = slimbrain({"-", out_, "group", "--stages", "index,aggregate"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.last_line().find("2 done"), std::string::npos) << result.last_line();
  const bids::Table index = bids::read_tsv(out_ / "group_index.tsv");
  ASSERT_EQ(index.rows.size(), 2u);
  EXPECT_EQ(*index.cell(0, "participant_id"), "sub-01");
  EXPECT_EQ(*index.cell(0, "session_id"), "n/a");
  EXPECT_EQ(*index.cell(0, "n_frames"), "40");
  EXPECT_TRUE(fs::exists(out_ / *index.cell(0, "file")));
  const bids::Table embeddings = bids::read_tsv(out_ / "group_desc-tiny_embeddings.tsv");
  ASSERT_EQ(embeddings.rows.size(), 2u);
  EXPECT_EQ(embeddings.columns.size(), 6u + 128u);
  const bids::Table own = bids::read_tsv(
      out_ / "sub-02/func/sub-02_task-rest_space-MNI152NLin6Asym_res-slim_desc-tiny_embedding.tsv");
  EXPECT_EQ(*embeddings.cell(1, "dim_0005"), *own.cell(own.rows.size() - 1, "dim_0005"));
  EXPECT_EQ(*embeddings.cell(1, "n_clips"), "1");
  const bids::Table qc = bids::read_tsv(out_ / "group_qc.tsv");
  ASSERT_EQ(qc.rows.size(), 2u);
  EXPECT_GT(std::stod(*qc.cell(0, "coverage")), 0.8);
  for (const char* name : {"group_index", "group_qc", "group_completeness", "group_desc-tiny_embeddings"}) {
    const auto json = nlohmann::json::parse(read_text(out_ / (std::string(name) + ".json")));
    for (const std::string& column : bids::read_tsv(out_ / (std::string(name) + ".tsv")).columns) {
      EXPECT_TRUE(json.at(column).contains("Description")) << name << " " << column;
    }
  }
}

TEST_F(Group, TheSameFolderGivesTheSameBytesAndPleasesTheValidator) {
  ASSERT_EQ(participant(out_).exit_code, 0);
  ASSERT_EQ(slimbrain({"-", out_, "group", "--stages", "index", "aggregate"}).exit_code, 0);
  const auto first = tree_hashes(out_, {"logs/", ".slimbrain/"});
  ASSERT_EQ(slimbrain({"-", out_, "group", "--stages", "index", "aggregate"}).exit_code, 0);
  EXPECT_EQ(tree_hashes(out_, {"logs/", ".slimbrain/"}), first);
  const auto python = judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES does not name a Python with the judges";
  }
  const ProgramResult verdict = run_program(
      *python, {(fs::path(SLIM_SOURCE_DIR) / "tests/cli/judge_outputs.py").string(), out_.string()});
  EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
}

TEST_F(Group, BothLevelsInOneCallAndEachTakesItsStages) {
  const ProgramResult result =
      slimbrain({small_cohort(), out_, "group", "participant", "--stages", "prep,index"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::exists(out_ / "group_index.tsv"));
  EXPECT_FALSE(fs::exists(out_ / "group_qc.tsv"));
}

TEST_F(Group, SeveralFoldersAreKeyedByName) {
  ASSERT_EQ(participant(out_).exit_code, 0);
  ASSERT_EQ(participant(folder_ / "other", {"--participant-label", "01"}).exit_code, 0);
  ASSERT_EQ(slimbrain({"-", out_, "group", "-d", "siteB=" + (folder_ / "other").string()}).exit_code, 0);
  const bids::Table table = bids::read_tsv(out_ / "group_desc-tiny_embeddings.tsv");
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(*table.cell(2, "dataset"), "siteB");
}

TEST_F(Group, FailuresAreListedUntilALaterCallMendsThem) {
  const fs::path cohort = folder_ / "cohort";
  fs::copy(small_cohort(), cohort, fs::copy_options::recursive);
  fs::path image;
  for (const auto& entry : fs::recursive_directory_iterator(cohort)) {
    if (entry.path().string().ends_with("_bold.nii.gz") &&
        entry.path().string().find("sub-02") != std::string::npos) {
      image = entry.path();
    }
  }
  const auto size = fs::file_size(image);
  fs::copy_file(image, folder_ / "whole");
  fs::resize_file(image, size / 2);
  EXPECT_EQ(slimbrain({cohort, out_, "participant", "--stages", "prep"}).exit_code, 1);
  ASSERT_EQ(slimbrain({"-", out_, "group"}).exit_code, 0);
  bids::Table table = bids::read_tsv(out_ / "group_completeness.tsv");
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(*table.cell(0, "prep"), "done");
  EXPECT_EQ(*table.cell(1, "prep"), "failed");
  EXPECT_NE(table.cell(1, "reason")->find("SB2006"), std::string::npos);
  fs::remove(image);
  fs::copy_file(folder_ / "whole", image);
  EXPECT_EQ(slimbrain({cohort, out_, "participant", "--stages", "prep"}).exit_code, 0);
  ASSERT_EQ(slimbrain({"-", out_, "group"}).exit_code, 0);
  table = bids::read_tsv(out_ / "group_completeness.tsv");
  EXPECT_EQ(*table.cell(1, "prep"), "done");
  EXPECT_EQ(*table.cell(1, "reason"), "n/a");
}

TEST_F(Group, TwoModelsOfOneNameAreRefused) {
  ASSERT_EQ(participant(out_, {"--participant-label", "01"}).exit_code, 0);
  const std::string other = folder_ / "other";
  ASSERT_EQ(run_program(program("slimbrain-model"),
                        {"init", other, "--preset", "tiny", "--seed", "2", "--name", "tiny"})
                .exit_code,
            0);
  ASSERT_EQ(slimbrain({small_cohort(), out_, "participant", "--model", other, "--participant-label", "02"})
                .exit_code,
            0);
  const ProgramResult result = slimbrain({"-", out_, "group"});
  EXPECT_EQ(result.exit_code, 65) << result.err;
  EXPECT_NE(result.err.find("SB4002"), std::string::npos);
}

}  // namespace
}  // namespace slim::test
