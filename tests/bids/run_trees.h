// SPDX-License-Identifier: Apache-2.0
// Small made-up datasets for the tests of discovery.
#pragma once

#include <filesystem>
#include <string>

#include "bids/bold_run.h"
#include "tests/bids/bids_tree.h"

namespace slim::bids {

namespace fs = std::filesystem;
using test::describe;
using test::put;
using test::put_all;

inline constexpr HeaderFacts kSeries{.is_slim_lattice = false, .voxel_volume_mm3 = 8.0, .frames = 100};
inline const std::string kImage = "_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz";
inline const std::string kHcpRun = "MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR.nii.gz";

inline std::string func(const std::string& subject) { return "sub-" + subject + "/func/sub-" + subject; }

inline RunRequest request_for(const fs::path& bids_dir) {
  RunRequest request;
  request.bids_dir = bids_dir;
  request.read_header = [](const fs::path&) { return kSeries; };
  return request;
}

// A raw dataset with participants 01, 02 and 10.
inline void make_raw(const fs::path& root) {
  describe(root, "", "raw");
  put(root, "task-rest_bold.json", R"({"RepetitionTime": 2.0, "TaskName": "rest", "SliceTiming": [0, 1]})");
  for (const char* subject : {"01", "02", "10"}) {
    put(root, func(subject) + "_task-rest_bold.nii.gz");
  }
}

inline void make_fmriprep(const fs::path& root) {
  describe(root, "fMRIPrep");
  for (const char* subject : {"01", "02", "10"}) {
    put(root, func(subject) + kImage);
    put(root, func(subject) + "_task-rest_space-T1w_desc-preproc_bold.nii.gz");
    put(root, func(subject) + "_task-rest_space-MNI152NLin6Asym_desc-brain_mask.nii.gz");
    put(root, func(subject) + "_task-rest_desc-confounds_timeseries.tsv",
        "x\tnon_steady_state_outlier00\tnon_steady_state_outlier01\n"
        "1\t1\t0\n1\t0\t1\n1\t0\t0\n1\t0\t0\n");
  }
}

// "producer name" of the only run, or the code of the error or failure.
inline std::string outcome(const RunRequest& request, std::string* text) {
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

}  // namespace slim::bids
