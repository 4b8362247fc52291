// SPDX-License-Identifier: Apache-2.0
// The index, merged metadata and filters held against pybids, the raw corpora against the BIDS validator, and
// the table of names against the schema package, each through the Python named by SLIM_JUDGES.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "bids/bids_dataset.h"
#include "bids/filter.h"
#include "bids/schema.h"
#include "core/atomic_file.h"
#include "tests/support/run_program.h"
#include "tests/support/synthetic_bids.h"

namespace slim::bids {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::SyntheticRaw;

/// Needs a Python with the judges' packages.
class Judges : public testing::Test {
 protected:
  void SetUp() override {
    python_ = test::judges_python();
    if (!python_) GTEST_SKIP() << "SLIM_JUDGES is not set: no Python with pybids";
  }
  std::optional<fs::path> python_;
};
class Pybids : public Judges {};
class SchemaTable : public Judges {};

std::map<std::string, SyntheticRaw> raw_corpora() {
  const std::vector<std::string> some{"01", "02", "A3"};
  std::map<std::string, SyntheticRaw> corpora;
  corpora["flat"] = {.participants = some, .events = true};
  corpora["sessions"] = {.participants = some, .sessions = {"1", "post"}, .fieldmaps = true};
  corpora["runs"] = {.participants = some, .tasks = {"rest", "nback"}, .runs = {"01", "02"}, .events = true};
  corpora["unpadded"] = {.participants = some, .tasks = {"rest", "nback"}, .runs = {"1", "2", "10"}};
  corpora["variants"] = {
      .participants = some,
      .variants = {"acq-mb_dir-AP", "dir-PA_rec-moco", "ce-gad_part-mag", "echo-1", "echo-2"}};
  corpora["root-sidecars"] = {.participants = some, .runs = {"1", "2"}, .sidecars = test::Sidecars::Root};
  corpora["mixed-sidecars"] = {.participants = some, .sessions = {"1"}, .sidecars = test::Sidecars::Mixed};
  corpora["volume-timing"] = {.participants = some, .volume_timing = true};
  return corpora;
}

json judged(const fs::path& python, const fs::path& root, const fs::path& queries = {}) {
  std::vector<std::string> arguments{SLIM_SOURCE_DIR "/tests/bids/judge_pybids.py", root.string()};
  if (!queries.empty()) arguments.push_back(queries.string());
  const test::ProgramResult result = test::run_program(python, arguments);
  if (result.exit_code != 0) throw std::runtime_error("the judge failed: " + result.err);
  return json::parse(result.out);
}

/// pybids' word for an entity of ours; it keeps short names for some.
std::string pybids_name(const std::string& key) {
  static const std::map<std::string, std::string> kOthers{{"sub", "subject"},        {"ses", "session"},
                                                          {"acq", "acquisition"},    {"ce", "ceagent"},
                                                          {"rec", "reconstruction"}, {"dir", "direction"}};
  const auto found = kOthers.find(key);
  return found == kOthers.end() ? key : found->second;
}

json entities_of(const BidsFile& file) {
  json entities{{"suffix", file.name.suffix}, {"extension", file.name.extension}};
  if (!file.datatype.empty()) entities["datatype"] = file.datatype;
  for (const auto& [key, value] : file.name.entities) entities[pybids_name(key)] = value;
  return entities;
}

void expect_same_index(const BidsDataset& dataset, const json& judge, const std::string& corpus) {
  std::set<std::string> ours, theirs;
  for (const BidsFile& file : dataset.files()) {
    if (file.name.entities.empty()) continue;  // pybids lists participants.tsv among files of any kind
    ours.insert(file.path);
    ASSERT_TRUE(judge["files"].contains(file.path)) << corpus << ": " << file.path;
    json found = judge["files"][file.path];
    found.erase("fmap");  // its own classification of field maps
    EXPECT_EQ(entities_of(file), found) << corpus << ": " << file.path;
  }
  for (const auto& [path, entities] : judge["files"].items()) {
    if (entities.contains("subject") || entities.contains("task")) theirs.insert(path);
  }
  EXPECT_EQ(ours, theirs) << corpus;
}

int expect_same_metadata(const BidsDataset& dataset, const json& judge, const std::string& corpus) {
  int compared = 0;
  for (const BidsFile& file : dataset.files()) {
    if (file.name.suffix != "bold" || file.name.extension == ".json") continue;
    EXPECT_EQ(dataset.metadata(file), judge["metadata"].at(file.path)) << corpus << ": " << file.path;
    ++compared;
  }
  return compared;
}

TEST_F(Pybids, IndexEntitiesAndMetadataOfRawCorporaAreEqual) {
  for (const auto& [name, options] : raw_corpora()) {
    const test::TempFolder folder;
    test::write_raw_dataset(folder.path(), options);
    const json judge = judged(*python_, folder.path());
    const BidsDataset dataset = BidsDataset::scan(folder.path(), {.participants = {}, .threads = 2});
    EXPECT_TRUE(dataset.warnings().empty()) << name;
    expect_same_index(dataset, judge, name);
    EXPECT_GE(expect_same_metadata(dataset, judge, name), 3) << name;
  }
}

TEST_F(Pybids, ThreeLevelsOfSidecarsMergeEqually) {
  const test::TempFolder folder;
  test::write_raw_dataset(folder.path(), {.participants = {"01"},
                                          .sessions = {"A"},
                                          .runs = {"1", "2"},
                                          .variants = {"acq-x", "acq-x+y"},
                                          .sidecars = test::Sidecars::Mixed});
  const fs::path sub = folder / "sub-01";
  test::write_file(folder / "acq-x_bold.json",
                   R"({"FlipAngle": 1, "OfX": true, "Nested": {"a": 1, "b": 2}})");
  fs::remove(folder / "task-rest_bold.json");
  test::write_file(sub / "sub-01_task-rest_bold.json",
                   R"({"RepetitionTime": 1.5, "FlipAngle": 2, "Nested": {"c": 3}})");
  test::write_file(sub / "ses-A" / "sub-01_ses-A_run-2_bold.json",
                   R"({"FlipAngle": 3, "OfRun": 2, "RepetitionTime": null})");
  const json judge = judged(*python_, folder.path());
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  EXPECT_EQ(expect_same_metadata(dataset, judge, "three levels"), 4);
}

TEST_F(Pybids, FmriprepTreesAreIndexedEqually) {
  for (const auto age : {test::FmriprepAge::Current, test::FmriprepAge::V20_2}) {
    const test::TempFolder folder;
    test::write_fmriprep_dataset(folder.path(), {.participants = {"01", "02"},
                                                 .sessions = {"1"},
                                                 .runs = {"1"},
                                                 .spaces = {"MNI152NLin6Asym", "MNI152NLin2009cAsym"},
                                                 .resolutions = {"", "2"},
                                                 .age = age});
    const json judge = judged(*python_, folder.path());
    const BidsDataset dataset = BidsDataset::scan(folder.path());
    std::set<std::string> ours, theirs;
    for (const BidsFile& file : dataset.files()) ours.insert(file.path);
    for (const auto& [path, entities] : judge["files"].items()) {
      if (path.starts_with("sub-")) theirs.insert(path);
    }
    EXPECT_EQ(ours, theirs);
    EXPECT_EQ(dataset.dataset_type(), "derivative");
    EXPECT_EQ(dataset.warnings().size(), age == test::FmriprepAge::V20_2 ? 1U : 0U)
        << "hemi stands after space";
  }
}

/// A random filter in pybids' words, of values that occur and some that do not.
json random_filter(std::mt19937& random) {
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  static const std::vector<std::pair<std::string, std::vector<std::string>>> kChoices{
      {"subject", {"01", "02", "1", "99"}},
      {"session", {"1", "post", "none"}},
      {"task", {"rest", "nback", "re"}},
      {"run", {"1", "01", "02", "3"}},
      {"acquisition", {"mb", "x"}},
      {"direction", {"AP", "PA"}},
      {"suffix", {"bold", "T1w", "epi"}},
      {"datatype", {"func", "anat"}},
      {"extension", {".nii.gz", ".json", ".tsv"}}};
  json filter = json::object();
  for (size_t n = 1 + below(4); n > 0; --n) {
    const auto& [entity, values] = kChoices[below(kChoices.size())];
    json value;
    switch (below(6)) {
      case 0:
        value = nullptr;
        break;
      case 1:
        value = "*";
        break;
      case 2:
        value = json::array({values[below(values.size())], values[below(values.size())]});
        break;
      default:
        value = values[below(values.size())];
    }
    filter[entity] = value;
  }
  return filter;
}

TEST_F(Pybids, TwoHundredRandomFiltersChooseTheSameFiles) {
  const test::TempFolder folder;
  const fs::path root = folder / "raw";
  test::write_raw_dataset(root, {.participants = {"01", "02"},
                                 .sessions = {"1", "post"},
                                 .tasks = {"rest", "nback"},
                                 .runs = {"01", "02"},
                                 .variants = {"", "acq-mb_dir-AP", "dir-PA"},
                                 .events = true,
                                 .fieldmaps = true});
  std::mt19937 random(11);
  json queries = json::array();
  for (int i = 0; i < 200; ++i) queries.push_back(random_filter(random));
  test::write_file(folder / "queries.json", queries.dump());
  const json judge = judged(*python_, root, folder / "queries.json");
  const BidsDataset dataset = BidsDataset::scan(root);
  int hits = 0;
  for (size_t i = 0; i < queries.size(); ++i) {
    test::write_file(folder / "filter.json", json{{"bold", queries[i]}}.dump());
    const Funnel funnel = make_funnel({.bids_filter_file = folder / "filter.json"});
    std::set<std::string> ours, theirs;
    for (const BidsFile& file : dataset.files()) {
      if (!file.name.entities.empty() && funnel.keeps(file)) ours.insert(file.path);
    }
    for (const std::string path : judge["queries"][i]) {
      if (path.find("/") != std::string::npos)
        theirs.insert(path);  // files of the root have no entities here
    }
    ASSERT_EQ(ours, theirs) << queries[i];
    hits += !ours.empty();
  }
  EXPECT_GT(hits, 50);
}

TEST_F(Pybids, RawCorporaHaveNoErrorsForTheValidator) {
  const fs::path validator = python_->parent_path() / "bids-validator-deno";
  if (!fs::exists(validator)) GTEST_SKIP() << "bids-validator-deno is not installed beside SLIM_JUDGES";
  for (const auto& [name, options] : raw_corpora()) {
    const test::TempFolder folder;
    test::write_raw_dataset(folder.path(), options);
    const test::ProgramResult result =
        test::run_program(validator, {folder.path().string(), "--json", "--ignoreWarnings"});
    const json report = json::parse(result.out);
    for (const json& issue : report["issues"]["issues"]) {
      EXPECT_NE(issue.value("severity", "error"), "error") << name << ": " << issue;
    }
  }
}

TEST_F(SchemaTable, IsWhatThePinnedPackageGives) {
  const test::ProgramResult result =
      test::run_program(*python_, {SLIM_SOURCE_DIR "/bids/make_bids_tables.py"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string committed = read_text(SLIM_SOURCE_DIR "/bids/bids_tables.inc");
  EXPECT_EQ(result.out, committed);
  EXPECT_LE(committed.size(), 60000U);
}

}  // namespace
}  // namespace slim::bids
