// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bids/bids_name.h"

namespace slim::bids {

/// A BOLD image of an HCP-style folder (YA, Lifespan, 7T; DCAN with files/), and what lies beside it.
struct HcpImage {
  BidsName name;     // as a BIDS derivative would name it: ..._space-MNI152NLin6Asym_desc-preproc_bold
  std::string path;  // relative to the root, with '/'
  std::filesystem::path absolute;
  bool present = true;  // false: only files made from it are here
  std::optional<std::filesystem::path> mask{};
  std::optional<std::filesystem::path> movement_regressors{};
};

/// A folder below Results/ that holds no single acquired run, and why.
struct HcpOther {
  std::string path;
  std::string reason;
};

struct HcpScan {
  std::vector<HcpImage> images{};  // sorted by path
  std::vector<HcpOther> others{};
  std::vector<std::string> participants{};  // bare labels of all folders that look like a person's, sorted
};

/// The BIDS entities of a person's folder: 100307 -> sub-100307, HCA1234567_V1_MR -> sub-HCA1234567_ses-V1.
std::optional<BidsName> hcp_person(std::string_view folder);
/// The run's name: rfMRI_REST1_LR -> ..._task-rest_dir-LR_run-1_bold; nullopt for concatenated runs and
/// others.
std::optional<BidsName> hcp_run(const BidsName& person, std::string_view folder);

/// Lists the runs of an HCP-style folder; only these participants (bare labels), empty = all.
HcpScan scan_hcp(const std::filesystem::path& root, const std::vector<std::string>& participants);

}  // namespace slim::bids
