// SPDX-License-Identifier: Apache-2.0
#include "bids/producer.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/bids/run_trees.h"
#include "tests/support/run_program.h"

namespace slim::bids {
namespace {

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
       .expected = "SB2019"},
      {.what = "description is no object",
       .make = [](const fs::path& f) { put(f, "in/dataset_description.json", "[]"); },
       .expected = "SB2019"},
      {.what = "description is annexed",
       .make =
           [](const fs::path& f) {
             create_folder(f / "in");
             fs::create_symlink(".git/annex/objects/a/b/MD5E-s1--c.json/MD5E-s1--c.json",
                                f / "in/dataset_description.json");
           },
       .expected = "SB2102"},
      {.what = "a broken description among derivatives",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             make_fmriprep(f / "in/derivatives/fmriprep");
             put(f / "in/derivatives/x", "dataset_description.json", "{");
           },
       .expected = "fmriprep " + run},
      {.what = "a broken description named",
       .make =
           [](const fs::path& f) {
             make_raw(f / "in");
             put(f / "x", "dataset_description.json", "{");
           },
       .derivatives = {"x=x"},
       .expected = "SB2019"},
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

}  // namespace
}  // namespace slim::bids
