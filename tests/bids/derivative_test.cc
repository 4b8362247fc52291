// SPDX-License-Identifier: Apache-2.0
#include "bids/derivative.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "core/error.h"
#include "pipelines/lock.h"
#include "tests/bids/bids_tree.h"
#include "tests/support/code_of.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::bids {
namespace {

using test::code_of;
using test::put;

const BidsName kMask =
    BidsName::parse("sub-01_ses-a_task-rest_space-MNI152NLin6Asym_res-slim_desc-brain_mask.nii.gz").value();
const BidsName kStore =
    BidsName::parse("sub-01_ses-a_task-rest_space-MNI152NLin6Asym_res-slim_desc-slimprep_clips.safetensors")
        .value();

DatasetFacts facts_for(const fs::path& raw) {
  DatasetFacts facts;
  facts.program_version = "0.1.0";
  facts.configuration_hash = "9f2c51d0a7b3e846";
  facts.input_name = "a study";
  facts.license = "CC0";
  facts.authors = {"A. Author"};
  facts.input_producers = {R"({"Name": "fMRIPrep", "Version": "24.0.0"})"};
  facts.links = {{"raw", raw}};
  return facts;
}

DataWriter writing(const std::string& text) {
  return [text](const fs::path& path) { write_text(path, text); };
}

std::vector<std::string> names_below(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      names.push_back(entry.path().lexically_relative(root).generic_string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool has_partials(const fs::path& root) {
  const std::vector<std::string> names = names_below(root);
  return std::any_of(names.begin(), names.end(),
                     [](const std::string& name) { return name.find(".partial-") != std::string::npos; });
}

class Derivative : public ::testing::Test {
 protected:
  fs::path out() const { return folder_ / "out"; }
  DerivativeDataset open() const { return DerivativeDataset::open(out(), facts_for(folder_ / "raw")); }
  std::string content(const BidsName& name) const { return read_text(open().path_of(name)); }
  test::TempFolder folder_;
};

TEST_F(Derivative, MakesTheDatasetFiles) {
  open();
  EXPECT_EQ(names_below(out()),
            (std::vector<std::string>{".bidsignore", "README.md", "dataset_description.json",
                                      "descriptions.json", "descriptions.tsv"}));
  const json description = json::parse(read_text(out() / "dataset_description.json"));
  EXPECT_EQ(description["Name"], "slimbrain outputs: a study");
  EXPECT_EQ(description["BIDSVersion"], "1.11.1");
  EXPECT_EQ(description["DatasetType"], "derivative");
  EXPECT_EQ(description["License"], "CC0");
  EXPECT_EQ(description["GeneratedBy"][0]["Name"], "slimbrain");
  EXPECT_EQ(description["GeneratedBy"][0]["ConfigurationHash"], "9f2c51d0a7b3e846");
  EXPECT_EQ(description["GeneratedBy"][1]["Name"], "fMRIPrep");
  EXPECT_EQ(description["DatasetLinks"], (json{{"raw", "../raw"}}))
      << "relative: no machine's folders are in it";
}

TEST_F(Derivative, ASecondOpeningTouchesNothing) {
  open();
  const auto before = test::tree_hashes(out(), {});
  const auto time = fs::last_write_time(out() / "dataset_description.json");
  EXPECT_TRUE(open().warnings().empty());
  EXPECT_EQ(test::tree_hashes(out(), {}), before);
  EXPECT_EQ(fs::last_write_time(out() / "dataset_description.json"), time);
}

TEST_F(Derivative, GrowsToTheSameBytesInAnyOrder) {
  DatasetFacts a = facts_for(folder_ / "raw"), b = a;
  a.links["fmriprep"] = folder_ / "prep";
  a.source_datasets = {R"({"URL": "https://example.org/b"})"};
  b.links["atlas"] = folder_ / "atlas";
  b.input_producers = {R"({"Name": "HCP"})"};
  b.source_datasets = {R"({"URL": "https://example.org/a"})"};
  DerivativeDataset::open(folder_ / "x", a);
  DerivativeDataset::open(folder_ / "x", b);
  DerivativeDataset::open(folder_ / "y", b);
  DerivativeDataset::open(folder_ / "y", a);
  const std::string text = read_text(folder_ / "x/dataset_description.json");
  EXPECT_EQ(text, read_text(folder_ / "y/dataset_description.json"));
  EXPECT_EQ(json::parse(text)["DatasetLinks"].size(), 3u);
  EXPECT_EQ(json::parse(text)["SourceDatasets"].size(), 2u);
  EXPECT_EQ(json::parse(text)["GeneratedBy"].size(), 3u);
}

TEST_F(Derivative, RefusesWhatIsNotItsOwn) {
  put(out(), "dataset_description.json", R"({"Name": "other", "GeneratedBy": [{"Name": "fMRIPrep"}]})");
  EXPECT_EQ(code_of([&] { open(); }), "SB1007");
  put(out(), "dataset_description.json", R"({"Name": "raw"})");
  EXPECT_EQ(code_of([&] { open(); }), "SB1007");
  put(out(), "dataset_description.json", "[1");
  EXPECT_EQ(code_of([&] { open(); }), "SB2019");
  put(out(), "dataset_description.json",
      R"({"GeneratedBy": [{"Name": "slimbrain"}], "DatasetLinks": ["x"]})");
  EXPECT_EQ(code_of([&] { open(); }), "SB2019");
  fs::remove(out() / "dataset_description.json");
  put(out(), "sub-01/anat/sub-01_T1w.nii.gz");
  EXPECT_EQ(code_of([&] { open(); }), "SB1007");
  EXPECT_EQ(names_below(out()), (std::vector<std::string>{"sub-01/anat/sub-01_T1w.nii.gz"}))
      << "nothing was written";
}

TEST_F(Derivative, RefusesOtherSettingsUnlessForced) {
  open();
  DatasetFacts other = facts_for(folder_ / "raw");
  other.configuration_hash = "0000000000000000";
  EXPECT_EQ(code_of([&] { DerivativeDataset::open(out(), other); }), "SB1008");
  DerivativeDataset::open(out(), other, {.exclusively = {}, .replace_configuration = true});
  EXPECT_EQ(json::parse(read_text(out() / "dataset_description.json"))["GeneratedBy"][0]["ConfigurationHash"],
            "0000000000000000");
}

TEST_F(Derivative, OneNameCannotMeanTwoDatasets) {
  create_folder(folder_ / "raw");
  create_folder(folder_ / "raw2");
  open();
  EXPECT_EQ(code_of([&] { DerivativeDataset::open(out(), facts_for(folder_ / "raw2")); }), "SB1007");
  fs::remove(folder_ / "raw");  // moved away: then the new place is taken, with a word
  const DerivativeDataset moved = DerivativeDataset::open(out(), facts_for(folder_ / "raw2"));
  ASSERT_EQ(moved.warnings().size(), 1u);
  EXPECT_NE(moved.warnings().front().find("../raw2"), std::string::npos);
}

TEST_F(Derivative, RefusesPlacesInsideTheInput) {
  create_folder(folder_ / "raw/sub-01");
  fs::create_directory_symlink(folder_ / "raw", folder_ / "link");
  const auto code = [&](const std::string& path) {
    return code_of([&] { check_output_place(folder_ / "raw", folder_ / path); });
  };
  EXPECT_EQ(code("raw"), "SB1007");
  EXPECT_EQ(code("link"), "SB1007");
  EXPECT_EQ(code("link/sub-01/x"), "SB1007");
  EXPECT_EQ(code("raw/sourcedata/x"), "SB1007");
  EXPECT_EQ(code("raw/derivatives/slimbrain"), "none");
  EXPECT_EQ(code("rawer"), "none");
}

TEST_F(Derivative, PlacesFilesByParticipantAndSession) {
  EXPECT_EQ(DerivativeDataset::relative_path(kMask), "sub-01/ses-a/func/" + kMask.build());
  EXPECT_EQ(DerivativeDataset::relative_path(kMask.without("ses"), "anat"),
            "sub-01/anat/" + kMask.without("ses").build());
  EXPECT_EQ(
      code_of([] { DerivativeDataset::folder_of(BidsName::parse("group_desc-a_embedding.tsv").value()); }),
      "SB9001");
}

TEST_F(Derivative, CommitsDataAndSidecar) {
  const DerivativeDataset dataset = open();
  const json sidecar{{"Slimbrain", {{"ConfigurationHash", "a"}}}};
  EXPECT_TRUE(dataset.committed_sidecar(kStore).is_null());
  dataset.commit(kStore, sidecar, writing("voxels"));
  EXPECT_EQ(content(kStore), "voxels");
  EXPECT_EQ(dataset.committed_sidecar(kStore), sidecar);
  EXPECT_TRUE(dataset.is_current(kStore, sidecar));
  EXPECT_FALSE(dataset.is_current(kStore, json{{"x", 1}}));
  EXPECT_FALSE(has_partials(out()));
}

TEST_F(Derivative, DoesNotRewriteWhatDoesNotChange) {
  const DerivativeDataset dataset = open();
  dataset.commit_unit({{kMask, {{"a", 1}}, writing("m")}, {kStore, {{"a", 1}}, writing("s")}});
  const auto inode_time = [&](const BidsName& name) { return fs::last_write_time(dataset.path_of(name)); };
  const auto mask = inode_time(kMask), store = inode_time(kStore);
  dataset.commit_unit({{kMask, {{"a", 1}}, writing("m")}, {kStore, {{"a", 1}}, writing("s")}});
  EXPECT_EQ(inode_time(kMask), mask);
  EXPECT_EQ(inode_time(kStore), store);
  EXPECT_FALSE(has_partials(out()));
}

TEST_F(Derivative, TheWriterSeesNoOldPrimaryBesideANewSidecar) {
  const DerivativeDataset dataset = open();
  dataset.commit_unit({{kMask, {{"a", 1}}, writing("m1")}, {kStore, {{"a", 1}}, writing("s1")}});
  const auto check = [&](const fs::path& path) {
    EXPECT_FALSE(fs::exists(dataset.path_of(kStore)));
    EXPECT_EQ(path.filename().string().substr(0, 9), ".partial-");
    write_text(path, "new");
  };
  dataset.commit_unit(
      {{kMask, {{"a", 2}}, check}, {kStore, {{"a", 2}}, [&](const fs::path& path) {
                                      EXPECT_EQ(content(kMask), "new") << "secondary files come first";
                                      EXPECT_EQ(json::parse(read_text(dataset.sidecar_of(kStore)))["a"], 2);
                                      check(path);
                                    }}});
  EXPECT_EQ(content(kStore), "new");
}

TEST_F(Derivative, AChangedSecondaryWithdrawsThePrimaryFirst) {
  const DerivativeDataset dataset = open();
  dataset.commit_unit({{kMask, {{"a", 1}}, writing("m1")}, {kStore, {{"a", 1}}, writing("s1")}});
  const auto failing = [](const fs::path&) { throw std::runtime_error("disk"); };
  EXPECT_THROW(dataset.commit_unit({{kMask, {{"a", 1}}, writing("m2")}, {kStore, {{"a", 1}}, failing}}),
               std::runtime_error);
  EXPECT_EQ(content(kMask), "m2");
  EXPECT_FALSE(fs::exists(dataset.path_of(kStore))) << "the unit counts as missing";
}

TEST_F(Derivative, AJsonFileNeedsNoSidecar) {
  const DerivativeDataset dataset = open();
  const BidsName qc = BidsName::parse("sub-01_ses-a_task-rest_desc-slimprep_qc.json").value();
  dataset.commit_unit({{qc, {{"fd_mean", 0.1}}, {}}, {kStore, {{"a", 1}}, writing("s")}});
  EXPECT_EQ(json::parse(content(qc))["fd_mean"], 0.1);
  const auto failing = [](const fs::path&) { throw std::runtime_error("disk"); };
  EXPECT_THROW(dataset.commit_unit({{qc, {{"fd_mean", 0.2}}, {}}, {kStore, {{"a", 1}}, failing}}),
               std::runtime_error);
  EXPECT_FALSE(fs::exists(dataset.path_of(kStore))) << "new numbers beside an old primary";
}

TEST_F(Derivative, AFailingWriterLeavesNothing) {
  const DerivativeDataset dataset = open();
  const auto before = names_below(out());
  const auto failing = [](const fs::path& path) {
    write_text(path, "half");
    throw Error(message::kInputOutput, "no space");
  };
  EXPECT_EQ(code_of([&] { dataset.commit(kStore, {{"a", 1}}, failing); }), "SB5002");
  EXPECT_EQ(names_below(out()), before);
}

TEST_F(Derivative, AFailingWriterKeepsAnEqualUnitAndDropsAStaleOne) {
  const DerivativeDataset dataset = open();
  const auto failing = [](const fs::path&) { throw std::runtime_error("disk"); };
  dataset.commit(kStore, {{"a", 1}}, writing("old"));
  EXPECT_THROW(dataset.commit(kStore, {{"a", 1}}, failing), std::runtime_error);
  EXPECT_TRUE(dataset.is_current(kStore, {{"a", 1}})) << "same settings: the old result still holds";
  EXPECT_THROW(dataset.commit(kStore, {{"a", 2}}, failing), std::runtime_error);
  EXPECT_FALSE(fs::exists(dataset.path_of(kStore)));
  EXPECT_FALSE(fs::exists(dataset.sidecar_of(kStore)));
}

TEST_F(Derivative, RemovesLeftoversOfOneParticipant) {
  const DerivativeDataset dataset = open();
  put(out(), "sub-01/ses-a/func/.partial-1-x.nii.gz");
  put(out(), "sub-02/func/.partial-1-x.nii.gz");
  EXPECT_EQ(dataset.remove_stale_partials("01"), 1);
  EXPECT_EQ(dataset.remove_stale_partials("99"), 0);
  EXPECT_TRUE(fs::exists(out() / "sub-02/func/.partial-1-x.nii.gz"));
}

// Runs `work` in `count` processes at once; returns how many failed.
int failures_among(int count, const std::function<void(int)>& work) {
  std::vector<pid_t> children;
  for (int i = 0; i < count; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        work(i);
        ::_exit(0);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "process %d: %s\n", i, error.what());
        ::_exit(1);
      }
    }
    children.push_back(child);
  }
  int failures = 0;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    failures += WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
  }
  return failures;
}

TEST_F(Derivative, ManyProcessesMakeOneDataset) {
  open();
  const auto alone = test::tree_hashes(out(), {});
  for (int round = 0; round < 10; ++round) {
    fs::remove_all(out());
    EXPECT_EQ(failures_among(8, [&](int) { open(); }), 0);
    EXPECT_EQ(test::tree_hashes(out(), {}), alone);
    EXPECT_FALSE(has_partials(out()));
  }
}

TEST_F(Derivative, ManyProcessesGrowOneDescription) {
  const auto grow = [&](int i) {
    DatasetFacts facts = facts_for(folder_ / "raw");
    facts.links["set" + std::to_string(i)] = folder_ / ("set" + std::to_string(i));
    DerivativeDataset::open(out(), facts, {.exclusively = [&](const std::function<void()>& work) {
                              const ParticipantLock lock = ParticipantLock::wait(out(), "dataset");
                              work();
                            }});
  };
  EXPECT_EQ(failures_among(8, grow), 0);
  const std::string together = read_text(out() / "dataset_description.json");
  EXPECT_EQ(json::parse(together)["DatasetLinks"].size(), 9u);
  fs::remove_all(out());
  for (int i = 7; i >= 0; --i) {
    grow(i);
  }
  EXPECT_EQ(read_text(out() / "dataset_description.json"), together);
}

TEST(BidsUri, EncodesWhatUrisDoNotAllow) {
  EXPECT_EQ(bids_uri("raw", "sub-01/func/sub-01_bold.nii.gz"), "bids:raw:sub-01/func/sub-01_bold.nii.gz");
  EXPECT_EQ(bids_uri("", "a b+c.tsv"), "bids::a%20b%2Bc.tsv");
}

TEST(Container, IsReadFromTheEnvironment) {
  ::setenv("SLIMBRAIN_CONTAINER_URI", "docker://example.org/slimbrain", 1);
  ::setenv("SLIMBRAIN_CONTAINER_TAG", "0.1.0", 1);
  ::setenv("SLIMBRAIN_CONTAINER_DIGEST", "sha256:ab", 1);
  const ContainerIdentity container = container_from_environment();
  ::unsetenv("SLIMBRAIN_CONTAINER_URI");
  ::unsetenv("SLIMBRAIN_CONTAINER_TAG");
  ::unsetenv("SLIMBRAIN_CONTAINER_DIGEST");
  EXPECT_EQ(container.type, "docker");
  EXPECT_EQ(container.uri, "docker://example.org/slimbrain@sha256:ab");
  EXPECT_EQ(container.tag, "0.1.0");
  EXPECT_TRUE(container_from_environment().uri.empty());
}

}  // namespace
}  // namespace slim::bids
