// SPDX-License-Identifier: Apache-2.0
#include "bids/hcp.h"

#include <gtest/gtest.h>

#include "tests/bids/bids_tree.h"
#include "tests/support/run_program.h"

namespace slim::bids {
namespace {

std::string run_name(const std::string& person, const std::string& run) {
  const auto who = hcp_person(person);
  if (!who) {
    return "no person";
  }
  const auto name = hcp_run(*who, run);
  return name ? name->build() : "no run";
}

TEST(Hcp, MapsFoldersToBidsNames) {
  const std::vector<std::array<std::string, 3>> table{
      {"100307", "rfMRI_REST1_LR", "sub-100307_task-rest_dir-LR_run-1_bold.nii.gz"},
      {"100307", "rfMRI_REST2_RL", "sub-100307_task-rest_dir-RL_run-2_bold.nii.gz"},
      {"100307", "tfMRI_MOTOR_RL", "sub-100307_task-motor_dir-RL_bold.nii.gz"},
      {"100610", "rfMRI_REST2_7T_PA", "sub-100610_task-rest_acq-7T_dir-PA_run-2_bold.nii.gz"},
      {"100610", "tfMRI_MOVIE4_7T_AP", "sub-100610_task-movie_acq-7T_dir-AP_run-4_bold.nii.gz"},
      {"HCA1234567_V1_MR", "rfMRI_REST1_AP", "sub-HCA1234567_ses-V1_task-rest_dir-AP_run-1_bold.nii.gz"},
      {"HCA1234567_V1_MR", "tfMRI_CARIT_PA", "sub-HCA1234567_ses-V1_task-carit_dir-PA_bold.nii.gz"},
      {"HCD0001305_V1_MR", "rfMRI_REST1a_PA",
       "sub-HCD0001305_ses-V1_task-rest_acq-a_dir-PA_run-1_bold.nii.gz"},
      {"sub-X", "ses-A_task-rest_run-01", "sub-X_ses-A_task-rest_run-01_bold.nii.gz"},
      {"sub-X", "task-rest01", "sub-X_task-rest01_bold.nii.gz"},
      {"100307", "rfMRI_REST", "no run"},
      {"HCA1234567_V1_MR", "fMRI_CONCAT_ALL", "no run"},
      {"100307", "tfMRI_MOTOR", "no run"},
      {"100307", "rfMRI_REST1_XX", "no run"},
      {"100307", "rfMRI_1_LR", "no run"},
      {"100307", "rfMRI_REST1_3T_LR", "no run"},
      {"sub-X", "ses-A_run-01", "no run"},
      {"100307", "", "no run"},
      {"100307", "rfMRI__LR", "no run"},
      {"my folder", "rfMRI_REST1_LR", "no person"},
      {"a_b_c", "rfMRI_REST1_LR", "no person"},
      {"sub-", "rfMRI_REST1_LR", "no person"},
      {"sub-1_ses-", "rfMRI_REST1_LR", "no person"},
  };
  for (const auto& [person, run, expected] : table) {
    EXPECT_EQ(run_name(person, run), expected) << person << " " << run;
  }
}

TEST(Hcp, NeverThrowsOnAnyFolderName) {
  const auto person = hcp_person("100307").value();
  for (const char* name : {"_", "__", "-", "rfMRI_\xff\xfe_LR", "task-", "-task-rest", "tfMRI_A\n_LR",
                           "rfMRI_REST99999999999999999999_LR"}) {
    EXPECT_NO_THROW(hcp_run(person, name)) << name;
    EXPECT_NO_THROW(hcp_person(name)) << name;
  }
}

TEST(Hcp, FindsRunsMasksAndMotionInAllThreeLayouts) {
  const test::TempFolder folder;
  const std::string results = "MNINonLinear/Results/";
  test::put_all(
      folder.path(),
      {"100307/" + results + "rfMRI_REST1_LR/rfMRI_REST1_LR.nii.gz",
       "100307/" + results + "rfMRI_REST1_LR/brainmask_fs.2.nii.gz",
       "100307/" + results + "rfMRI_REST1_LR/Movement_Regressors.txt",
       "100307/" + results + "rfMRI_REST1_LR/rfMRI_REST1_LR_SBRef.nii.gz",
       "100307/" + results + "rfMRI_REST1_LR/rfMRI_REST1_LR_hp2000_clean.nii.gz",
       "100307/" + results + "rfMRI_REST/rfMRI_REST_hp0_clean.nii.gz",
       "HCA1_V2_MR/" + results + "rfMRI_REST1_AP/rfMRI_REST1_AP_hp0_clean.nii.gz",
       "HCA1_V2_MR/MNINonLinear/brainmask_fs.2.0.nii.gz",
       "sub-X/ses-Y/files/" + results + "ses-Y_task-rest_run-01/ses-Y_task-rest_run-01.nii",
       "sub-X/ses-Y/files/" + results + "ses-Y_task-rest_run-01/brainmask_fs.2.0.nii.gz", "code/readme.txt"});
  const HcpScan scan = scan_hcp(folder.path(), {});
  ASSERT_EQ(scan.images.size(), 3u);
  EXPECT_EQ(scan.participants, (std::vector<std::string>{"100307", "HCA1", "X"}));
  EXPECT_EQ(scan.images[0].name.build(),
            "sub-100307_task-rest_dir-LR_run-1_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz");
  EXPECT_TRUE(scan.images[0].present);
  EXPECT_EQ(scan.images[0].path, "100307/" + results + "rfMRI_REST1_LR/rfMRI_REST1_LR.nii.gz");
  ASSERT_TRUE(scan.images[0].mask && scan.images[0].movement_regressors);
  EXPECT_EQ(scan.images[0].movement_regressors->filename(), "Movement_Regressors.txt");
  EXPECT_FALSE(scan.images[1].present) << "a denoised image alone is not the run";
  EXPECT_EQ(scan.images[1].mask->parent_path().filename(), "MNINonLinear");
  EXPECT_EQ(scan.images[2].name.build(),
            "sub-X_ses-Y_task-rest_run-01_space-MNI152NLin6Asym_desc-preproc_bold.nii");
  ASSERT_TRUE(scan.images[2].mask);
  EXPECT_EQ(scan.images[2].mask->parent_path().filename(), "ses-Y_task-rest_run-01");
  ASSERT_EQ(scan.others.size(), 1u);
  EXPECT_NE(scan.others[0].reason.find("concatenated"), std::string::npos);
  EXPECT_EQ(scan_hcp(folder.path(), {"X"}).images.size(), 1u);
}

}  // namespace
}  // namespace slim::bids
