// SPDX-License-Identifier: Apache-2.0
#include "bids/bids_dataset.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>

#include "bids/tsv.h"
#include "tests/support/code_of.h"
#include "tests/support/run_program.h"
#include "tests/support/synthetic_bids.h"

namespace slim::bids {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::code_of;
using test::TempFolder;
using test::write_file;

std::set<std::string> paths(const BidsDataset& dataset) {
  std::set<std::string> result;
  for (const BidsFile& file : dataset.files()) result.insert(file.path);
  return result;
}

const BidsFile& bold_of(const BidsDataset& dataset) {
  for (const BidsFile& file : dataset.files()) {
    if (file.name.suffix == "bold" && file.name.extension != ".json") return file;
  }
  throw std::runtime_error("no bold file");
}

/// sub-01/func/sub-01_task-rest_bold.nii.gz with a root sidecar.
void write_minimal(const fs::path& root) {
  write_file(root / "dataset_description.json", R"({"Name": "x", "BIDSVersion": "1.10.0"})");
  write_file(root / "task-rest_bold.json", R"({"RepetitionTime": 2, "TaskName": "rest"})");
  write_file(root / "sub-01/func/sub-01_task-rest_bold.nii.gz", "an image");
}

TEST(BidsDataset, MissingRootsAreSaidSo) {
  const TempFolder folder;
  EXPECT_EQ(code_of([&] { BidsDataset::scan(folder / "absent"); }), "SB2101");
  write_file(folder / "file", "");
  EXPECT_EQ(code_of([&] { BidsDataset::scan(folder / "file"); }), "SB2101");
  const BidsDataset empty = BidsDataset::scan(folder.path());
  EXPECT_TRUE(empty.files().empty());
  EXPECT_TRUE(empty.description().is_null());
  EXPECT_EQ(empty.dataset_type(), "raw");
}

TEST(BidsDataset, IndexHoldsWhatBidsNamesAndNothingElse) {
  const TempFolder folder;
  write_minimal(folder.path());
  write_file(folder / "participants.tsv", "participant_id\nsub-01\n");
  write_file(folder / "README.md", "");
  write_file(folder / "config.json", "{}");
  write_file(folder / ".hidden/sub-01_T1w.nii", "");
  write_file(folder / "sub-01/.git/sub-01_T1w.nii", "");
  write_file(folder / "sub-01/anat/.sub-01_T1w.nii", "");
  for (const char* skipped : {"sourcedata", "code", "stimuli", "derivatives"}) {
    write_file(folder / skipped / "sub-01_T1w.nii", "");
  }
  write_file(folder / "sub-01/meg/sub-01_task-rest_meg.ds/sub-01_task-rest_x.meg4", "");
  write_file(folder / "sub-01/micr/sub-01_sample-1_SPIM.ome.zarr/0/0", "");
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  EXPECT_EQ(paths(dataset),
            (std::set<std::string>{
                "participants.tsv", "task-rest_bold.json", "sub-01/func/sub-01_task-rest_bold.nii.gz",
                "sub-01/meg/sub-01_task-rest_meg.ds", "sub-01/micr/sub-01_sample-1_SPIM.ome.zarr"}));
  const BidsFile& bold = bold_of(dataset);
  EXPECT_EQ(bold.datatype, "func");
  EXPECT_EQ(bold.size, 8U);
  EXPECT_EQ(bold.state, FileState::Present);
  EXPECT_EQ(dataset.find(bold.path), &bold);
  EXPECT_EQ(dataset.find("sub-01/func/other"), nullptr);
  EXPECT_EQ(dataset.absolute(bold), folder / "sub-01/func/sub-01_task-rest_bold.nii.gz");
  EXPECT_TRUE(dataset.warnings().empty());
}

TEST(BidsDataset, ThreadsChangeNothing) {
  const TempFolder folder;
  test::write_raw_dataset(folder.path(), {.participants = {"01", "02", "03", "10", "2"},
                                          .sessions = {"1", "2"},
                                          .runs = {"1", "2"},
                                          .bold = {.size = {2, 2, 2}, .frames = 1}});
  const BidsDataset one = BidsDataset::scan(folder.path(), {.participants = {}, .threads = 1});
  const BidsDataset many = BidsDataset::scan(folder.path(), {.participants = {}, .threads = 8});
  ASSERT_EQ(one.files().size(), many.files().size());
  for (size_t i = 0; i < one.files().size(); ++i) {
    EXPECT_EQ(one.files()[i].path, many.files()[i].path);
    EXPECT_EQ(one.files()[i].name, many.files()[i].name);
  }
  EXPECT_TRUE(std::is_sorted(one.files().begin(), one.files().end(),
                             [](const BidsFile& a, const BidsFile& b) { return a.path < b.path; }));
  EXPECT_EQ(one.participants(), (std::vector<std::string>{"01", "02", "03", "10", "2"}));
}

TEST(BidsDataset, AParticipantSelectionOpensOnlyTheRootAndItsFolders) {
  const TempFolder folder;
  test::write_raw_dataset(folder.path(),
                          {.participants = {"01", "02", "011"}, .sidecars = test::Sidecars::Root});
  // Were this folder listed, its two names would be an error.
  write_file(folder / "sub-02/anat/sub-02_acq-a_T1w.json", "{}");
  write_file(folder / "sub-02/anat/sub-02_acq-A_T1w.json", "{}");
  const BidsDataset dataset = BidsDataset::scan(folder.path(), {.participants = {"01"}});
  EXPECT_EQ(code_of([&] { BidsDataset::scan(folder.path(), {.participants = {"01", "02"}}); }), "SB2002");
  for (const BidsFile& file : dataset.files()) {
    EXPECT_TRUE(file.name.get("sub") == nullptr || *file.name.get("sub") == "01") << file.path;
  }
  EXPECT_NE(dataset.find("task-rest_bold.json"), nullptr);
  EXPECT_EQ(dataset.participants(), (std::vector<std::string>{"01", "011", "02"}));
}

TEST(BidsDataset, BidsignoreIsObeyedInRawDatasetsOnly) {
  const TempFolder folder;
  write_minimal(folder.path());
  write_file(folder / ".bidsignore", "*_bold.*\n!task-rest_bold.json\nextra/\n");
  write_file(folder / "extra/sub-01_T1w.nii.gz", "");
  write_file(folder / "sub-01/anat/sub-01_T1w.nii.gz", "");
  EXPECT_EQ(paths(BidsDataset::scan(folder.path())),
            (std::set<std::string>{"task-rest_bold.json", "sub-01/anat/sub-01_T1w.nii.gz"}));
  write_file(folder / "dataset_description.json", R"({"DatasetType": "derivative"})");
  EXPECT_EQ(BidsDataset::scan(folder.path()).files().size(), 4U);
}

TEST(BidsDataset, NamesThatDifferOnlyInCaseAreAnError) {
  const TempFolder folder;
  write_minimal(folder.path());
  write_file(folder / "sub-01/func/sub-01_task-Rest_bold.nii.gz", "");
  EXPECT_EQ(code_of([&] { BidsDataset::scan(folder.path()); }), "SB2002");
  fs::remove(folder / "sub-01/func/sub-01_task-Rest_bold.nii.gz");
  fs::create_directories(folder / "Sub-01");
  EXPECT_EQ(code_of([&] { BidsDataset::scan(folder.path()); }), "SB2002");
}

TEST(BidsDataset, OddNamesAreWarnedAboutOnceAKind) {
  const TempFolder folder;
  write_minimal(folder.path());
  write_file(folder / "sub-01/func/sub-01_space-x_hemi-L_bold.func.gii", "");
  write_file(folder / "sub-01/func/sub-01_space-x_hemi-R_bold.func.gii", "");
  write_file(folder / "sub-01/func/sub-01_task-rest_run-1a_bold.nii.gz", "");
  write_file(folder / "sub-x_y/func/sub-01_task-rest_bold.nii.gz", "");
  write_file(folder / "sub-01/func/sub-01_t\xff_bold.nii.gz", "");
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  EXPECT_EQ(dataset.warnings(),
            (std::vector<std::string>{
                "2 names have entities in another order than BIDS, or twice, for example "
                "sub-01/func/sub-01_space-x_hemi-L_bold.func.gii.",
                "3 names that start with sub- are not BIDS names and are left out, for example "
                "sub-01/func/sub-01_t\\xff_bold.nii.gz."}));
  EXPECT_EQ(dataset.participants(), (std::vector<std::string>{"01"}));
  EXPECT_EQ(dataset.files().size(), 4U);
}

TEST(BidsDataset, AnnexedContentIsSeenAndNeverResolved) {
  const TempFolder folder;
  write_minimal(folder.path());
  const fs::path func = folder / "sub-01/func";
  const std::string key = "SHA256E-s9--" + std::string(64, 'a') + ".nii.gz";
  fs::create_symlink("../../.git/annex/objects/Xy/Zz/" + key + "/" + key,
                     func / "sub-01_task-absent_bold.nii.gz");
  write_file(folder / ".git/annex/objects/Xy/Zz/here/here", "nine byte");
  fs::create_symlink("../../.git/annex/objects/Xy/Zz/here/here", func / "sub-01_task-here_bold.nii.gz");
  write_file(func / "sub-01_task-pointer_bold.nii.gz", "/annex/objects/" + key + "\n");
  write_file(func / "sub-01_task-small_bold.nii.gz", "/annex is not enough");
  fs::create_symlink("nowhere", func / "sub-01_task-broken_bold.nii.gz");
  fs::create_symlink("../.git/annex/objects/a/b/" + key, func / "sub-01_task-pointer_bold.json");
  write_file(func / "sub-01_task-here_bold.json", "/annex/objects/MD5E-s3--f.json\n");
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  const auto file = [&](const std::string& task) {
    return dataset.find("sub-01/func/sub-01_task-" + task + "_bold.nii.gz");
  };
  EXPECT_EQ(file("absent")->state, FileState::Annexed);
  EXPECT_EQ(file("pointer")->state, FileState::Annexed);
  EXPECT_EQ(file("small")->state, FileState::Present);
  EXPECT_EQ(file("here")->state, FileState::Present);
  EXPECT_EQ(file("here")->size, 9U);
  EXPECT_EQ(dataset.absolute(*file("here")), func / "sub-01_task-here_bold.nii.gz") << "given, not resolved";
  EXPECT_EQ(file("broken"), nullptr);
  EXPECT_EQ(dataset.warnings().size(), 1U);
  EXPECT_EQ(code_of([&] { dataset.metadata(*file("pointer")); }), "SB2102");
  EXPECT_EQ(code_of([&] { dataset.metadata(*file("here")); }), "SB2102");
  EXPECT_EQ(code_of([&] { dataset.metadata(*file("rest")); }), "none") << "others are not troubled";
}

TEST(BidsDataset, LinkedFoldersAreFollowedButNotInCircles) {
  const TempFolder folder;
  write_minimal(folder / "data");
  write_file(folder / "store/sub-02/anat/sub-02_T1w.nii", "x");
  fs::create_symlink(folder / "store/sub-02", folder / "data/sub-02");
  fs::create_symlink("..", folder / "data/sub-01/func/up");
  const BidsDataset dataset = BidsDataset::scan(folder / "data");
  EXPECT_NE(dataset.find("sub-02/anat/sub-02_T1w.nii"), nullptr);
  EXPECT_EQ(dataset.files().size(), 3U);
  EXPECT_EQ(dataset.warnings().size(), 1U);
}

TEST(BidsDataset, ReadOnlyTreesAreFine) {
  const TempFolder folder;
  write_minimal(folder.path());
  for (const fs::path& path : {folder / "sub-01/func", folder / "sub-01", folder.path()}) {
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_exec);
  }
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  EXPECT_EQ(dataset.metadata(bold_of(dataset))["RepetitionTime"], 2);
  for (const fs::path& path : {folder.path(), folder / "sub-01", folder / "sub-01/func"}) {
    fs::permissions(path, fs::perms::owner_all);
  }
}

TEST(BidsDataset, UnreadableFoldersAreErrorsNotSilence) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TempFolder folder;
  write_minimal(folder.path());
  fs::permissions(folder / "sub-01/func", fs::perms::none);
  EXPECT_EQ(code_of([&] { BidsDataset::scan(folder.path()); }), "SB5002");
  fs::permissions(folder / "sub-01/func", fs::perms::owner_all);
}

TEST(Inheritance, DeeperWinsKeyByKey) {
  const TempFolder folder;
  write_minimal(folder.path());
  write_file(folder / "sub-01/sub-01_bold.json", R"({"RepetitionTime": 1.5, "Nested": {"a": 1}})");
  write_file(folder / "sub-01/func/sub-01_task-rest_bold.json", R"({"Nested": {"b": 2}})");
  write_file(folder / "sub-01/func/sub-01_task-other_bold.json", R"({"RepetitionTime": 9})");
  write_file(folder / "sub-01/func/sub-01_task-rest_sbref.json", R"({"RepetitionTime": 8})");
  write_file(folder / "task-res_bold.json", R"({"RepetitionTime": 7})");
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  const BidsFile& bold = bold_of(dataset);
  EXPECT_EQ(dataset.metadata(bold),
            (json{{"RepetitionTime", 1.5}, {"TaskName", "rest"}, {"Nested", {{"b", 2}}}}));
  EXPECT_EQ(dataset.sidecars(bold),
            (std::vector<std::string>{"task-rest_bold.json", "sub-01/sub-01_bold.json",
                                      "sub-01/func/sub-01_task-rest_bold.json"}));
}

TEST(Inheritance, TwoSidecarsInOneFolderAreAnErrorInRawDatasets) {
  const TempFolder folder;
  write_minimal(folder.path());
  write_file(folder / "sub-01/func/sub-01_bold.json", "{}");
  write_file(folder / "sub-01/func/sub-01_task-rest_bold.json", R"({"Exact": true})");
  const BidsDataset raw = BidsDataset::scan(folder.path());
  EXPECT_EQ(code_of([&] { raw.metadata(bold_of(raw)); }), "SB2004");
  write_file(folder / "dataset_description.json", R"({"DatasetType": "derivative"})");
  const BidsDataset derivative = BidsDataset::scan(folder.path());
  EXPECT_EQ(derivative.metadata(bold_of(derivative))["Exact"], true);
  fs::remove(folder / "sub-01/func/sub-01_task-rest_bold.json");
  write_file(folder / "sub-01/func/task-rest_bold.json", "{}");
  const BidsDataset tied = BidsDataset::scan(folder.path());
  EXPECT_EQ(code_of([&] { tied.metadata(bold_of(tied)); }), "SB2004") << "neither has all entities";
}

TEST(Inheritance, OnlyTheDeepestTableApplies) {
  const TempFolder folder;
  write_minimal(folder.path());
  write_file(folder / "task-rest_events.tsv", "onset\n1\n");
  const BidsDataset outer = BidsDataset::scan(folder.path());
  EXPECT_EQ(outer.associated(bold_of(outer), "events", ".tsv")->path, "task-rest_events.tsv");
  write_file(folder / "sub-01/func/sub-01_task-rest_events.tsv", "onset\n2\n");
  const BidsDataset both = BidsDataset::scan(folder.path());
  EXPECT_EQ(both.associated(bold_of(both), "events", ".tsv")->path,
            "sub-01/func/sub-01_task-rest_events.tsv");
  EXPECT_EQ(both.associated(bold_of(both), "physio", ".tsv.gz"), nullptr);
}

TEST(Inheritance, BrokenSidecarsAreErrorsOfTheFilesTheyApplyTo) {
  for (const char* text : {"", "{", "[1]", "{\"a\": 1, \"a\": 2}", "{\"a\": \"\xff\"}", "nonsense"}) {
    const TempFolder folder;
    write_minimal(folder.path());
    write_file(folder / "sub-02/func/sub-02_task-x_bold.nii.gz", "");
    write_file(folder / "sub-01/func/sub-01_task-rest_bold.json", text);
    const BidsDataset dataset = BidsDataset::scan(folder.path());
    EXPECT_EQ(code_of([&] { dataset.metadata(bold_of(dataset)); }), "SB2019") << text;
    EXPECT_EQ(code_of([&] { dataset.metadata(bold_of(dataset)); }), "SB2019") << "the second time too";
    const BidsFile* other = dataset.find("sub-02/func/sub-02_task-x_bold.nii.gz");
    EXPECT_EQ(dataset.metadata(*other), json::object());
  }
}

TEST(Inheritance, ManyThreadsMayAsk) {
  const TempFolder folder;
  test::write_raw_dataset(folder.path(), {.participants = {"01", "02", "03"},
                                          .runs = {"1", "2", "3"},
                                          .sidecars = test::Sidecars::Mixed,
                                          .bold = {.size = {2, 2, 2}, .frames = 1}});
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  const BidsDataset fresh = BidsDataset::scan(folder.path());
  std::vector<std::vector<json>> results(8);
  {
    std::vector<std::jthread> threads;
    for (std::vector<json>& result : results) {
      threads.emplace_back([&] {
        for (const BidsFile& file : dataset.files()) result.push_back(dataset.metadata(file));
      });
    }
  }
  for (size_t i = 0; i < fresh.files().size(); ++i) {
    const json expected = fresh.metadata(fresh.files()[i]);
    for (const std::vector<json>& result : results) EXPECT_EQ(result[i], expected);
  }
}

TEST(BidsDataset, DescriptionsThatCannotBeParsedAreToldWhenAskedFor) {
  const TempFolder folder;
  write_minimal(folder.path());
  write_file(folder / "dataset_description.json", "{");
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  EXPECT_EQ(dataset.files().size(), 2U);
  EXPECT_EQ(code_of([&] { dataset.description(); }), "SB2019");
}

TEST(BoldMetadata, TakesTheIntervalFromEitherKey) {
  const auto interval = [](const json& metadata) { return bold_metadata(metadata, "x").repetition_time_s; };
  EXPECT_EQ(interval({{"RepetitionTime", 0.72}}), 0.72);
  EXPECT_EQ(interval(json::object()), std::nullopt);
  EXPECT_EQ(interval(nullptr), std::nullopt);
  EXPECT_EQ(interval({{"VolumeTiming", {0, 2, 4}}}), 2);
  EXPECT_NEAR(*interval({{"VolumeTiming", {1, 3.0005, 4.9995, 7}}}), 2, 1e-9);
  EXPECT_EQ(interval({{"RepetitionTime", nullptr}, {"VolumeTiming", {0, 3}}}), 3);
  const BoldMetadata all = bold_metadata(
      {{"RepetitionTime", 2}, {"StartTime", 0.5}, {"TaskName", "rest"}, {"SkullStripped", true}}, "x");
  EXPECT_EQ(all.start_time_s, 0.5);
  EXPECT_EQ(all.task_name, "rest");
  EXPECT_EQ(all.skull_stripped, true);
}

TEST(BoldMetadata, RefusesTimingThatIsNone) {
  for (const json& metadata :
       {json{{"RepetitionTime", 0}}, json{{"RepetitionTime", -2}}, json{{"RepetitionTime", "2"}},
        json{{"RepetitionTime", json::array({2})}}, json{{"VolumeTiming", json::array({0, 2, 5})}},
        json{{"VolumeTiming", json::array({0, 2.002, 4})}}, json{{"VolumeTiming", json::array({0})}},
        json{{"VolumeTiming", json::array({2, 0})}}, json{{"VolumeTiming", "0"}},
        json{{"VolumeTiming", json::array({0, "2"})}},
        json{{"RepetitionTime", 1}, {"VolumeTiming", json::array({0, 2})}}}) {
    EXPECT_EQ(code_of([&] { bold_metadata(metadata, "x"); }), "SB2014") << metadata;
  }
}

TEST(Tables, ParticipantsAndSessionsAreReadWhereTheyAre) {
  const TempFolder folder;
  test::write_raw_dataset(folder.path(), {.participants = {"01", "02"}, .sessions = {"A", "B"}});
  const BidsDataset dataset = BidsDataset::scan(folder.path());
  EXPECT_EQ(read_participants(dataset)->rows.size(), 2U);
  EXPECT_EQ(*read_sessions(dataset, "02")->cell(1, "session_id"), "ses-B");
  EXPECT_EQ(read_sessions(dataset, "03"), std::nullopt);
  write_file(folder / "participants.tsv", "participant_id\nsub-01\nsub-01\n");
  EXPECT_EQ(code_of([&] { read_participants(dataset); }), "SB2003");
  fs::remove(folder / "participants.tsv");
  EXPECT_EQ(read_participants(dataset), std::nullopt);
  fs::create_symlink(".git/annex/objects/KEY", folder / "participants.tsv");
  EXPECT_EQ(code_of([&] { read_participants(dataset); }), "SB2102");
}

}  // namespace
}  // namespace slim::bids
