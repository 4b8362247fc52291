// SPDX-License-Identifier: Apache-2.0
#include "bids/bold_run.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/bids/bids_tree.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;

namespace slim::bids {
namespace {

using test::describe;
using test::put;
using test::put_all;

constexpr HeaderFacts kSeries{.is_slim_lattice = false, .voxel_volume_mm3 = 8.0, .frames = 100};
const std::string kImage = "_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz";
const std::string kHcpRun = "MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR.nii.gz";

std::string func(const std::string& subject) { return "sub-" + subject + "/func/sub-" + subject; }

RunRequest request_for(const fs::path& bids_dir) {
  RunRequest request;
  request.bids_dir = bids_dir;
  request.read_header = [](const fs::path&) { return kSeries; };
  return request;
}

// A raw dataset with participants 01, 02 and 10.
void make_raw(const fs::path& root) {
  describe(root, "", "raw");
  put(root, "task-rest_bold.json", R"({"RepetitionTime": 2.0, "TaskName": "rest", "SliceTiming": [0, 1]})");
  for (const char* subject : {"01", "02", "10"}) {
    put(root, func(subject) + "_task-rest_bold.nii.gz");
  }
}

void make_fmriprep(const fs::path& root) {
  describe(root, "fMRIPrep");
  for (const char* subject : {"01", "02", "10"}) {
    put(root, func(subject) + kImage);
    put(root, func(subject) + "_task-rest_space-T1w_desc-preproc_bold.nii.gz");
    put(root, func(subject) + "_task-rest_space-MNI152NLin6Asym_desc-brain_mask.nii.gz");
    put(root, func(subject) + "_task-rest_desc-confounds_timeseries.tsv",
        "global_signal\tnon_steady_state_outlier00\tnon_steady_state_"
        "outlier01\n1\t1\t0\n1\t0\t1\n1\t0\t0\n1\t0\t0\n");
  }
}

// "producer name" of the only run, or the code of the error or failure.
std::string outcome(const RunRequest& request, std::string* text) {
  try {
    const RunSearch search = find_bold_runs(request);
    if (!search.runs.empty()) {
      *text = search.runs.front().choice;
      return std::string(producer_name(search.runs.front().producer)) + " " +
             search.runs.front().name.build();
    }
    *text = search.failed.front().error.what();
    return std::string(search.failed.front().error.code());
  } catch (const Error& error) {
    *text = error.what();
    return std::string(error.code());
  }
}

struct Case {
  std::string what;
  std::function<void(const fs::path&)> make;  // makes trees below a folder; BIDS_DIR is <folder>/in
  std::vector<std::string> derivatives{};     // relative to the folder, NAME= in front where wanted
  InputType type = InputType::Auto;
  std::string expected;
};

std::vector<Case> cases() {
  const std::string run = "sub-01_task-rest_bold.nii.gz";
  const std::string hcp_run = "hcp sub-100307_task-rest_dir-LR_run-1_bold.nii.gz";
  const auto one = [](const fs::path& root, const std::string& generator) {
    describe(root, generator);
    put(root, func("01") + kImage);
  };
  return {
      {.what = "BIDS_DIR absent", .make = [](const fs::path&) {}, .expected = "SB2101"},
      {.what = "BIDS_DIR empty",
       .make = [](const fs::path& f) { create_folder(f / "in"); },
       .expected = "SB2001"},
      {.what = "description is no JSON",
       .make = [](const fs::path& f) { put(f, "in/dataset_description.json", "{"); },
       .expected = "SB2001"},
      {.what = "raw only", .make = [](const fs::path& f) { make_raw(f / "in"); }, .expected = "SB2103"},
      {.what = "raw without BOLD",
       .make =
           [](const fs::path& f) {
             describe(f / "in", "", "raw");
             put(f / "in", "sub-01/anat/sub-01_T1w.nii.gz");
           },
       .expected = "SB3002"},
      {.what = "raw asked for",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             make_fmriprep(f / "in/derivatives/fmriprep");
           },
       .type = InputType::Raw,
       .expected = "SB2103"},
      {.what = "fmriprep below derivatives",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             make_fmriprep(f / "in/derivatives/fmriprep");
           },
       .expected = "fmriprep " + run},
      {.what = "fmriprep is BIDS_DIR",
       .make = [](const fs::path& f) { make_fmriprep(f / "in"); },
       .expected = "fmriprep " + run},
      {.what = "nibabies",
       .make = [&](const fs::path& f) { one(f / "in", "NiBabies"); },
       .expected = "fmriprep " + run},
      {.what = "DeepPrep",
       .make = [&](const fs::path& f) { one(f / "in", "deepprep"); },
       .expected = "fmriprep " + run},
      {.what = "PipelineDescription of old",
       .make =
           [](const fs::path& f) {
             put(f / "in", "dataset_description.json",
                 R"({"Name": "x", "PipelineDescription": {"Name": "fmriprep"}})");
             put(f / "in", func("01") + kImage);
           },
       .expected = "fmriprep " + run},
      {.what = "GeneratedBy names no program",
       .make =
           [](const fs::path& f) {
             put(f / "in", "dataset_description.json",
                 R"({"DatasetType": "derivative", "GeneratedBy": ["x", 3]})");
             put(f / "in", func("01") + kImage);
           },
       .expected = "derivative " + run},
      {.what = "another program",
       .make = [&](const fs::path& f) { one(f / "in", "elastix"); },
       .expected = "derivative " + run},
      {.what = "generic forced to fmriprep",
       .make = [&](const fs::path& f) { one(f / "in", "elastix"); },
       .type = InputType::Fmriprep,
       .expected = "fmriprep " + run},
      {.what = "no description but forced",
       .make = [](const fs::path& f) { put(f / "in", func("01") + kImage); },
       .type = InputType::Derivative,
       .expected = "derivative " + run},
      {.what = "two derivatives",
       .make =
           [&](const fs::path& f) {
             make_raw(f / "in");
             one(f / "in/derivatives/a", "fMRIPrep");
             one(f / "in/derivatives/b", "other");
           },
       .expected = "SB3003"},
      {.what = "two, one of the asked type",
       .make =
           [&](const fs::path& f) {
             make_raw(f / "in");
             one(f / "in/derivatives/a", "fMRIPrep");
             one(f / "in/derivatives/b", "other");
           },
       .type = InputType::Fmriprep,
       .expected = "fmriprep " + run},
      {.what = "two, one named",
       .make =
           [&](const fs::path& f) {
             make_raw(f / "in");
             one(f / "in/derivatives/a", "fMRIPrep");
             one(f / "in/derivatives/b", "other");
           },
       .derivatives = {"in/derivatives/b"},
       .expected = "derivative " + run},
      {.what = "our own outputs do not count",
       .make =
           [&](const fs::path& f) {
             make_raw(f / "in");
             one(f / "in/derivatives/a", "fMRIPrep");
             one(f / "in/derivatives/slimbrain", "slimbrain");
           },
       .expected = "fmriprep " + run},
      {.what = "only our own outputs",
       .make =
           [&](const fs::path& f) {
             make_raw(f / "in");
             one(f / "in/derivatives/slimbrain", "slimbrain");
           },
       .expected = "SB2103"},
      {.what = "our own outputs named",
       .make =
           [&](const fs::path& f) {
             make_raw(f / "in");
             one(f / "out", "slimbrain");
           },
       .derivatives = {"x=out"},
       .expected = "SB2103"},
      {.what = "our own outputs as BIDS_DIR",
       .make = [&](const fs::path& f) { one(f / "in", "slimbrain"); },
       .expected = "SB2103"},
      {.what = "derivatives without BOLD do not count",
       .make =
           [&](const fs::path& f) {
             make_raw(f / "in");
             make_fmriprep(f / "in/derivatives/fmriprep");
             describe(f / "in/derivatives/mriqc", "MRIQC");
             put(f / "in/derivatives/mriqc", "sub-01/func/sub-01_task-rest_bold.json", "{}");
           },
       .expected = "fmriprep " + run},
      {.what = "derivative without description",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             put(f / "in/derivatives/x", func("01") + kImage);
           },
       .expected = "SB2103"},
      {.what = "the same, named",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             put(f / "in/derivatives/x", func("01") + kImage);
           },
       .derivatives = {"in/derivatives/x"},
       .expected = "derivative " + run},
      {.what = "named but absent",
       .make = [](const fs::path& f) { make_raw(f / "in"); },
       .derivatives = {"x=nowhere"},
       .expected = "SB2101"},
      {.what = "named twice",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             make_fmriprep(f / "a");
             make_fmriprep(f / "b");
           },
       .derivatives = {"x=a", "x=b"},
       .expected = "SB1002"},
      {.what = "a raw dataset named",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             make_raw(f / "b");
           },
       .derivatives = {"x=b"},
       .expected = "SB2103"},
      {.what = "names from before 1.2",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             describe(f / "old", "fmriprep");
             put(f / "old", func("01") + "_task-rest_bold_space-MNI152NLin2009cAsym_preproc.nii.gz");
           },
       .derivatives = {"old=old"},
       .expected = "SB2103"},
      {.what = "names from 20.2",
       .make =
           [](const fs::path& f) {
             describe(f / "in", "fMRIPrep");
             put(f / "in", func("01") + kImage);
             put(f / "in", func("01") + "_task-rest_space-fsaverage_hemi-L_bold.func.gii");
           },
       .expected = "fmriprep " + run},
      {.what = "native space only",
       .make =
           [](const fs::path& f) {
             describe(f / "in", "fMRIPrep");
             put(f / "in", func("01") + "_task-rest_space-T1w_desc-preproc_bold.nii.gz");
           },
       .expected = "SB2007"},
      {.what = "only echoes",
       .make =
           [](const fs::path& f) {
             describe(f / "in", "fMRIPrep");
             put(f / "in", func("01") + "_task-rest_echo-1_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz");
           },
       .expected = "SB3002"},
      {.what = "a cohort's template",
       .make =
           [](const fs::path& f) {
             describe(f / "in", "fMRIPrep");
             put(f / "in", func("01") + "_task-rest_space-MNIInfant_cohort-1_desc-preproc_bold.nii.gz");
           },
       .expected = "SB3002"},
      {.what = "HCP folder",
       .make = [](const fs::path& f) { put(f / "in", "100307/" + kHcpRun); },
       .expected = hcp_run},
      {.what = "HCP folder named",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             put(f / "hcp", "100307/" + kHcpRun);
           },
       .derivatives = {"hcp=hcp"},
       .expected = hcp_run},
      {.what = "HCP folder, denoised only",
       .make =
           [](const fs::path& f) {
             put(f / "in", "100307/MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR_hp2000_clean.nii.gz");
           },
       .expected = "SB2101"},
      {.what = "DCAN files",
       .make =
           [](const fs::path& f) {
             put(f / "in",
                 "sub-1/ses-A/files/MNINonLinear/Results/ses-A_task-rest_run-01/"
                 "ses-A_task-rest_run-01.nii.gz");
           },
       .expected = "hcp sub-1_ses-A_task-rest_run-01_bold.nii.gz"},
      {.what = "DCAN derivative with space-MNI",
       .make =
           [](const fs::path& f) {
             describe(f / "in", "DCAN-labs abcd-hcp-pipeline");
             put(f / "in", func("01") + "_task-rest_space-MNI_bold.nii.gz");
           },
       .expected = "derivative " + run},
      {.what = "space-MNI of others",
       .make =
           [](const fs::path& f) {
             describe(f / "in", "other");
             put(f / "in", func("01") + "_task-rest_space-MNI_bold.nii.gz");
           },
       .expected = "SB2007"},
      {.what = "UK Biobank",
       .make =
           [](const fs::path& f) { put(f / "in", "1000001_2_0/fMRI/rfMRI.ica/filtered_func_data.nii.gz"); },
       .expected = "SB2103"},
      {.what = "study root",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in/rawbids");
             make_fmriprep(f / "in/derivatives/fmriprep");
           },
       .expected = "fmriprep " + run},
      {.what = "part-phase beside part-mag",
       .make =
           [](const fs::path& f) {
             describe(f / "in", "other");
             put(f / "in", func("01") + "_task-rest_part-mag_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz");
             put(f / "in",
                 func("01") + "_task-rest_part-phase_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz");
           },
       .expected = "derivative " + run},
  };
}

TEST(FindBoldRuns, FollowsTheTableOfProducers) {
  for (const Case& test : cases()) {
    const test::TempFolder folder;
    test.make(folder.path());
    RunRequest request = request_for(folder / "in");
    request.input_type = test.type;
    for (const std::string& text : test.derivatives) {
      const size_t equals = text.find('=');
      const std::string name = equals == std::string::npos ? "" : text.substr(0, equals + 1);
      const std::string path = equals == std::string::npos ? text : text.substr(equals + 1);
      request.derivatives.push_back(parse_named_path(name + (folder / path).string()));
    }
    std::string text;
    EXPECT_EQ(outcome(request, &text), test.expected) << test.what << ": " << text;
    EXPECT_EQ(text.find("SB9001"), std::string::npos) << text;
  }
}

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
