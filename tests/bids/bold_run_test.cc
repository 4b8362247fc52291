// SPDX-License-Identifier: Apache-2.0
#include "bids/bold_run.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/bids/run_trees.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;

namespace slim::bids {
namespace {

TEST(FindBoldRuns, DescribesARunCompletely) {
  const test::TempFolder folder;
  make_raw(folder / "in");
  make_fmriprep(folder / "prep");
  put(folder / "prep", func("02") + "_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.json",
      R"({"SkullStripped": false, "RepetitionTime": 1.5})");
  RunRequest request = request_for(folder / "in");
  request.derivatives = {parse_named_path("fmriprep=" + (folder / "prep").string())};
  request.selection.participants = {"sub-02"};
  const RunSearch search = find_bold_runs(request);
  ASSERT_EQ(search.runs.size(), 1u);
  const BoldRun& run = search.runs.front();
  EXPECT_EQ(run.participant, "02");
  EXPECT_EQ(run.image, folder / "prep" / (func("02") + kImage));
  EXPECT_EQ(run.image_uri, "bids:fmriprep:" + func("02") + kImage);
  EXPECT_EQ(run.mask->filename(), "sub-02_task-rest_space-MNI152NLin6Asym_desc-brain_mask.nii.gz");
  EXPECT_EQ(run.mask_uri,
            "bids:fmriprep:" + func("02") + "_task-rest_space-MNI152NLin6Asym_desc-brain_mask.nii.gz");
  EXPECT_EQ(run.confounds_uri, "bids:fmriprep:" + func("02") + "_task-rest_desc-confounds_timeseries.tsv");
  EXPECT_EQ(run.space, "MNI152NLin6Asym");
  EXPECT_EQ(run.family, "NLin6");
  EXPECT_FALSE(run.denoised);
  EXPECT_EQ(run.dummy_volumes, 2);
  EXPECT_EQ(run.confound_rows, 4);
  EXPECT_EQ(run.metadata->at("RepetitionTime"), 1.5) << "the derivative's own value wins";
  EXPECT_EQ(run.metadata->at("TaskName"), "rest");
  EXPECT_FALSE(run.metadata->contains("SliceTiming")) << "slice timing no longer holds";
  EXPECT_NE(run.metadata_note.find("TaskName from the raw run sub-02/func/sub-02_task-rest_bold.nii.gz"),
            std::string::npos)
      << run.metadata_note;
  EXPECT_NE(run.choice.find("MNI152NLin6Asym"), std::string::npos);
}

TEST(FindBoldRuns, CountsEveryStepOfTheFunnel) {
  const test::TempFolder folder;
  make_fmriprep(folder / "in");
  put(folder / "in", func("01") + "_task-nback_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz");
  RunRequest request = request_for(folder / "in");
  request.selection.participants = {"01", "02"};
  request.selection.tasks = {"rest"};
  const RunSearch search = find_bold_runs(request);
  ASSERT_EQ(search.funnel.size(), 5u);
  const std::vector<std::array<int64_t, 2>> expected{{5, 5}, {5, 5}, {5, 4}, {4, 4}, {4, 2}};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(search.funnel[i].before, expected[i][0]) << search.funnel[i].name;
    EXPECT_EQ(search.funnel[i].after, expected[i][1]) << search.funnel[i].name;
  }
  ASSERT_EQ(search.funnel[2].examples.size(), 1u);
  EXPECT_NE(search.funnel[2].examples.front().find("task-nback"), std::string::npos);
  EXPECT_NE(funnel_text(search.funnel).find("task-label: 5 -> 4"), std::string::npos);
  EXPECT_EQ(search.excluded.size(), 2u) << "the images in T1w space, each with its reason";
}

TEST(FindBoldRuns, NamesTheNearestParticipant) {
  const test::TempFolder folder;
  make_fmriprep(folder / "in");
  RunRequest request = request_for(folder / "in");
  request.selection.participants = {"03"};
  try {
    find_bold_runs(request);
    FAIL() << "an unknown participant was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB3001");
    EXPECT_NE(error.sentence().find("nearest: 0"), std::string::npos) << error.sentence();
  }
}

TEST(FindBoldRuns, AnEmptySelectionShowsTheFunnel) {
  const test::TempFolder folder;
  make_fmriprep(folder / "in");
  RunRequest request = request_for(folder / "in");
  request.selection.tasks = {"motor"};
  std::string text;
  EXPECT_EQ(outcome(request, &text), "SB3002");
  EXPECT_NE(text.find("task-label: 6 -> 0"), std::string::npos) << text;
}

TEST(FindBoldRuns, TakesARunFromTheFirstDatasetThatHasIt) {
  const test::TempFolder folder;
  make_raw(folder / "in");
  describe(folder / "a", "fMRIPrep");
  put(folder / "a", func("01") + "_task-rest_space-T1w_desc-preproc_bold.nii.gz");
  put(folder / "a", func("02") + kImage);
  make_fmriprep(folder / "b");
  RunRequest request = request_for(folder / "in");
  request.derivatives = {parse_named_path("a=" + (folder / "a").string()),
                         parse_named_path("b=" + (folder / "b").string())};
  const RunSearch search = find_bold_runs(request);
  ASSERT_EQ(search.runs.size(), 3u);
  EXPECT_EQ(search.runs[0].dataset, "b") << "a has 01 only in T1w space";
  EXPECT_EQ(search.runs[1].dataset, "a");
  EXPECT_EQ(search.runs[2].dataset, "b");
}

TEST(FindBoldRuns, SaysWhichRawRunsHaveNoImage) {
  const test::TempFolder folder;
  make_raw(folder / "in");
  put(folder / "in", func("01") + "_task-nback_run-01_bold.nii.gz");
  put(folder / "in", func("01") + "_task-multi_echo-1_bold.nii.gz");
  put(folder / "in", func("01") + "_task-multi_echo-2_bold.nii.gz");
  describe(folder / "prep", "fMRIPrep");
  put(folder / "prep", func("01") + "_task-nback_run-1_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz");
  put(folder / "prep", func("01") + "_task-multi_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz");
  RunRequest request = request_for(folder / "in");
  request.derivatives = {parse_named_path("p=" + (folder / "prep").string())};
  const RunSearch search = find_bold_runs(request);
  EXPECT_EQ(search.runs.size(), 2u) << "padding and echoes do not make other runs";
  std::vector<std::string> missing;
  for (const RunSearch::Excluded& excluded : search.excluded) {
    missing.push_back(excluded.path);
  }
  EXPECT_EQ(missing, (std::vector<std::string>{func("01") + "_task-rest_bold.nii.gz",
                                               func("02") + "_task-rest_bold.nii.gz",
                                               func("10") + "_task-rest_bold.nii.gz"}));
  request.selection.participants = {"02"};
  std::string text;
  EXPECT_EQ(outcome(request, &text), "SB2103") << text;
}

TEST(FindBoldRuns, MarksDenoisedInputs) {
  const test::TempFolder folder;
  describe(folder / "xcp", "xcp_d");
  put(folder / "xcp", func("01") + "_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz");
  describe(folder / "other", "other");
  put(folder / "other", func("01") + "_task-rest_space-MNI152NLin6Asym_desc-denoised_bold.nii.gz");
  for (const char* name : {"xcp", "other"}) {
    const RunSearch search = find_bold_runs(request_for(folder / name));
    ASSERT_EQ(search.runs.size(), 1u);
    EXPECT_TRUE(search.runs.front().denoised) << name;
  }
}

TEST(FindBoldRuns, ABadRunDoesNotStopTheOthers) {
  const test::TempFolder folder;
  make_fmriprep(folder / "in");
  put(folder / "in", func("01") + "_task-rest_desc-confounds_timeseries.tsv", "a\tb\n1\n");
  const fs::path annexed = folder / "in" / (func("02") + kImage);
  fs::remove(annexed);
  fs::create_symlink("../../.git/annex/objects/Xx/Yy/MD5E-s10--abc.nii.gz/MD5E-s10--abc.nii.gz", annexed);
  const RunSearch search = find_bold_runs(request_for(folder / "in"));
  ASSERT_EQ(search.runs.size(), 1u);
  EXPECT_EQ(search.runs.front().participant, "10");
  ASSERT_EQ(search.failed.size(), 2u);
  EXPECT_EQ(search.failed[0].error.code(), "SB2003");
  EXPECT_EQ(search.failed[1].error.code(), "SB2102");
  EXPECT_EQ(search.failed[1].name.build(), "sub-02_task-rest_bold.nii.gz");
}

TEST(FindBoldRuns, IsTheSameForAnyNumberOfThreads) {
  const test::TempFolder folder;
  make_fmriprep(folder / "in");
  RunRequest request = request_for(folder / "in");
  const RunSearch one = find_bold_runs(request);
  request.threads = 8;
  const RunSearch eight = find_bold_runs(request);
  ASSERT_EQ(one.runs.size(), eight.runs.size());
  for (size_t i = 0; i < one.runs.size(); ++i) {
    EXPECT_EQ(one.runs[i].image, eight.runs[i].image);
  }
  EXPECT_EQ(funnel_text(one.funnel), funnel_text(eight.funnel));
}

TEST(DummyVolumes, CountOnlyTheLeadingOnes) {
  const test::TempFolder folder;
  put(folder.path(), "a.tsv",
      "non_steady_state_outlier00\tx\tnon_steady_state_outlier_XX\n1.0\t1\t0\n0\t1\tn/a\n0\t1\t1\n");
  EXPECT_EQ(count_dummy_volumes(folder / "a.tsv").count, 1);
  EXPECT_EQ(count_dummy_volumes(folder / "a.tsv").rows, 3);
  put(folder.path(), "b.tsv", "x\n1\n2\n");
  EXPECT_EQ(count_dummy_volumes(folder / "b.tsv").count, 0);
}

TEST(NamedPath, SplitsAtTheFirstEqualsSign) {
  EXPECT_EQ(parse_named_path("a=/x/y").name, "a");
  EXPECT_EQ(parse_named_path("a=/x=1/y").path, "/x=1/y");
  EXPECT_EQ(parse_named_path("/data/x=1").path, "/data/x=1");
  EXPECT_EQ(parse_named_path("/data/fmri prep/").name, "fmriprep");
  for (const char* bad : {"", "=x", "a=", "raw=x", "a b=x"}) {
    EXPECT_THROW(parse_named_path(bad), Error) << bad;
  }
}

class RealData : public ::testing::Test {
 protected:
  void SetUp() override {
    data_ = test::data_folder();
    if (!data_) {
      GTEST_SKIP() << "SLIM_DATA_DIR is not there";
    }
  }
  std::optional<fs::path> data_;
};

TEST_F(RealData, StudyforrestIsReadFromElastixref) {
  RunRequest request = request_for(*data_ / "studyforrest");
  for (const bool named : {true, false}) {
    request.derivatives.clear();
    if (named) {
      request.derivatives = {
          parse_named_path("elastixref=" + (*data_ / "studyforrest/derivatives/elastixref").string())};
    }
    const RunSearch search = find_bold_runs(request);
    ASSERT_EQ(search.runs.size(), 1u);
    const BoldRun& run = search.runs.front();
    EXPECT_EQ(run.name.build(), "sub-02_task-oneback_run-1_bold.nii.gz");
    EXPECT_EQ(run.image_uri,
              "bids:elastixref:sub-02/func/"
              "sub-02_task-oneback_run-1_space-MNI152NLin6Asym_res-02_desc-preproc_bold.nii.gz");
    EXPECT_EQ(run.producer, Producer::Derivative);
    EXPECT_EQ(run.metadata->at("RepetitionTime"), 2.0);
    EXPECT_TRUE(run.mask.has_value());
    EXPECT_EQ(run.confound_rows, 60);
    EXPECT_EQ(run.dummy_volumes, 0);
  }
}

TEST_F(RealData, RawDatasetsAreRefusedWithEveryPlaceSearched) {
  for (const char* name : {"pumi-minitest", "ds005-trunc"}) {
    std::string text;
    EXPECT_EQ(outcome(request_for(*data_ / name), &text), "SB2103");
    EXPECT_NE(text.find((*data_ / name / "derivatives").string()), std::string::npos) << text;
    EXPECT_NE(text.find("MNI152NLin6Asym:res-2"), std::string::npos) << text;
  }
}

TEST_F(RealData, OldFmriprepNamesAreRefusedWithASentence) {
  RunRequest request = request_for(*data_ / "ds005-trunc");
  request.derivatives = {parse_named_path((*data_ / "ds005-trunc/derivatives/fmriprep").string())};
  std::string text;
  EXPECT_EQ(outcome(request, &text), "SB2103");
  EXPECT_NE(text.find("before 1.2"), std::string::npos) << text;
}

TEST_F(RealData, AnatomyAloneIsAnEmptySelection) {
  std::string text;
  EXPECT_EQ(outcome(request_for(*data_ / "ds002748-anat"), &text), "SB3002") << text;
}

}  // namespace
}  // namespace slim::bids
