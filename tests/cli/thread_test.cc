// SPDX-License-Identifier: Apache-2.0
// The whole thread: dataset in, clip stores and embeddings out, and what holds around it.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "clips/clip_store.h"
#include "core/atomic_file.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kVolatile{"logs/", ".slimbrain/"};

std::vector<fs::path> files_ending(const fs::path& root, const std::string& ending) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().string().ends_with(ending)) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::vector<std::string>> read_table(const fs::path& path) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> fields;
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, '\t');) {
      fields.push_back(cell);
    }
    rows.push_back(fields);
  }
  return rows;
}

nlohmann::json read_json_file(const fs::path& path) { return nlohmann::json::parse(read_text(path)); }

class Thread : public ::testing::Test {
 protected:
  ProgramResult run(const std::vector<std::string>& extra = {}, const std::string& out = "out") {
    return slimbrain(joined({toy_cohort(), folder_ / out, "participant", "--model", toy_model()}, extra));
  }
  TempFolder folder_;
  fs::path out_ = folder_ / "out";
};

TEST_F(Thread, MakesAClipStoreAndAnEmbeddingForEveryRun) {
  const ProgramResult result = run();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.last_line().find("4 done, 0 up to date, 0 failed"), std::string::npos)
      << result.last_line();
  const auto stores = files_ending(out_, "_clips.safetensors");
  const auto tables = files_ending(out_, "_embedding.tsv");
  ASSERT_EQ(stores.size(), 2u);
  ASSERT_EQ(tables.size(), 2u);
  const clips::ClipStore store = clips::ClipStore::open(stores.front());
  const auto rows = read_table(tables.front());
  const size_t n_clips = static_cast<size_t>(store.n_frames() / 40);
  ASSERT_EQ(rows.size(), 1 + n_clips + 1);
  EXPECT_EQ(rows[0][0], "level");
  EXPECT_EQ(rows[0].size(), 6u + 128u);
  EXPECT_EQ(rows.back()[0], "run");
  // The run's row is the mean of its clips.
  for (size_t column = 6; column < rows[0].size(); column += 17) {
    double mean = 0;
    for (size_t clip = 1; clip <= n_clips; ++clip) {
      mean += std::stod(rows[clip][column]) / static_cast<double>(n_clips);
    }
    EXPECT_NEAR(std::stod(rows.back()[column]), mean, 1e-5 * (1 + std::abs(mean)));
  }
  const nlohmann::json sidecar = read_json_file(fs::path(tables.front()).replace_extension(".json"));
  EXPECT_EQ(sidecar["Slimbrain"]["Model"]["Trained"], false);
  EXPECT_EQ(sidecar["Slimbrain"]["Background"], "token");
  EXPECT_EQ(sidecar["Slimbrain"]["Ranker"], "all");
  EXPECT_NE(sidecar["Description"].get<std::string>().find("untrained"), std::string::npos);
  EXPECT_NE(result.err.find("untrained"), std::string::npos);
}

TEST_F(Thread, ASecondCallFindsEverythingCurrentAndTouchesNoResult) {
  ASSERT_EQ(run().exit_code, 0);
  std::map<std::string, struct timespec> before;
  const auto times = [&] {
    std::map<std::string, std::pair<int64_t, int64_t>> stamps;
    for (const auto& [path, hash] : tree_hashes(out_, kVolatile)) {
      struct stat info {};
      stat((out_ / path).c_str(), &info);
      stamps[path] = {info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    }
    return stamps;
  };
  const auto first = times();
  const ProgramResult again = run();
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_NE(again.last_line().find("0 done, 4 up to date"), std::string::npos) << again.last_line();
  EXPECT_EQ(times(), first);
}

TEST_F(Thread, ForceMakesTheSameBytesAgain) {
  ASSERT_EQ(run().exit_code, 0);
  const auto first = tree_hashes(out_, kVolatile);
  const ProgramResult again = run({"--force"});
  EXPECT_NE(again.last_line().find("4 done, 0 up to date"), std::string::npos) << again.last_line();
  EXPECT_EQ(tree_hashes(out_, kVolatile), first);
}

TEST_F(Thread, PrepIsTheSameBytesForAnyNumberOfThreadsAndOtherwiseSettings) {
  ASSERT_EQ(run({"--nprocs", "1"}, "one").exit_code, 0);
  ASSERT_EQ(run({"--nprocs", "3", "--runs-at-once", "2"}, "many").exit_code, 0);
  const auto one = tree_hashes(folder_ / "one", kVolatile), many = tree_hashes(folder_ / "many", kVolatile);
  for (const auto& [path, hash] : one) {
    if (path.find("_embedding") == std::string::npos) {
      EXPECT_EQ(many.at(path), hash) << path;
    }
  }
  EXPECT_EQ(one.size(), many.size());
}

TEST_F(Thread, OneParticipantAfterAnotherGivesTheSameTreeAsBothAtOnce) {
  ASSERT_EQ(run({"--participant-label", "01"}, "parts").exit_code, 0);
  ASSERT_EQ(run({"--participant-label", "02"}, "parts").exit_code, 0);
  ASSERT_EQ(run({}, "whole").exit_code, 0);
  EXPECT_EQ(tree_hashes(folder_ / "parts", kVolatile), tree_hashes(folder_ / "whole", kVolatile));
}

TEST_F(Thread, OtherPrepSettingsInTheSameFolderAreRefusedUnlessForced) {
  ASSERT_EQ(run({"--stages", "prep"}).exit_code, 0);
  const ProgramResult other = run({"--stages", "prep", "--target-tr", "0.8"});
  EXPECT_EQ(other.exit_code, 64) << other.err;
  EXPECT_NE(other.err.find("SB1008"), std::string::npos);
  EXPECT_EQ(run({"--stages", "prep", "--target-tr", "0.8", "--force"}).exit_code, 0);
}

TEST_F(Thread, SelectorUniformIsNamedAndMakesEmbeddingsStale) {
  ASSERT_EQ(run().exit_code, 0);
  const ProgramResult result = run({"--ranker", "uniform"});
  EXPECT_NE(result.last_line().find("2 done, 2 up to date"), std::string::npos) << result.last_line();
  const auto table = files_ending(out_, "_embedding.tsv").front();
  EXPECT_EQ(read_json_file(fs::path(table).replace_extension(".json"))["Slimbrain"]["Ranker"], "uniform");
}

TEST_F(Thread, RunRecordReplaysTheCall) {
  ASSERT_EQ(run({"--ranker", "uniform"}).exit_code, 0);
  const fs::path record = files_ending(out_ / "logs", ".json").front();
  const nlohmann::json json = read_json_file(record);
  EXPECT_EQ(json["exit_code"], 0);
  EXPECT_EQ(json["units"].size(), 4u);
  const ProgramResult replay = run({"--config-file", record}, "again");
  ASSERT_EQ(replay.exit_code, 0) << replay.err;
  EXPECT_EQ(tree_hashes(folder_ / "again", kVolatile), tree_hashes(out_, kVolatile));
}

TEST_F(Thread, JsonLogIsOneObjectALine) {
  const ProgramResult result = run({"--log-format", "json", "--stages", "prep"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.err);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
  EXPECT_GT(count, 1);
}

TEST_F(Thread, NoTimeHostUserOrPathOutsideTheLogs) {
  ASSERT_EQ(run().exit_code, 0);
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  for (const auto& [path, hash] : tree_hashes(out_, kVolatile)) {
    if (path.ends_with(".json") || path.ends_with(".tsv") || path.ends_with(".md")) {
      const std::string text = read_text(out_ / path);
      EXPECT_EQ(text.find(folder_.path().string()), std::string::npos) << path;
      EXPECT_EQ(text.find(toy_cohort().string()), std::string::npos) << path;
      EXPECT_EQ(text.find(host), std::string::npos) << path;
    }
  }
}

TEST_F(Thread, ReadOnlyOutputIsSaid) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "root may write anywhere";
  }
  fs::create_directories(folder_ / "locked");
  fs::permissions(folder_ / "locked", fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(run({}, "locked/out").exit_code, 73);
}

TEST_F(Thread, FileInThePlaceOfTheOutputIsSaid) {
  std::ofstream(folder_ / "out") << "x";
  const ProgramResult result = run();
  EXPECT_EQ(result.exit_code, 73) << result.err;
}

TEST_F(Thread, ABrokenRunFailsAloneAndLeavesNothing) {
  const fs::path cohort = folder_ / "cohort";
  fs::copy(toy_cohort(), cohort, fs::copy_options::recursive);
  const auto images = files_ending(cohort / "derivatives", "_bold.nii.gz");
  ASSERT_GE(images.size(), 2u);
  fs::resize_file(images.front(), fs::file_size(images.front()) / 2);
  const ProgramResult result = slimbrain({cohort, out_, "participant", "--model", toy_model()});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find("SB2006"), std::string::npos) << result.err;
  EXPECT_EQ(files_ending(out_, "_clips.safetensors").size(), 1u);
  EXPECT_EQ(files_ending(out_, "_embedding.tsv").size(), 1u);
}

TEST_F(Thread, OutputsPleaseTheOfficialValidatorAndOtherReaders) {
  const auto python = judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES does not name a Python with the judges";
  }
  ASSERT_EQ(run().exit_code, 0);
  const ProgramResult verdict = run_program(
      *python, {(fs::path(SLIM_SOURCE_DIR) / "tests/cli/judge_outputs.py").string(), out_.string()});
  EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
}

}  // namespace
}  // namespace slim::test
