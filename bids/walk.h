// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bids/bids_dataset.h"
#include "bids/ignore.h"

namespace slim::bids {

/// What one walk over the folders of a dataset finds.
struct WalkResult {
  std::vector<BidsFile> files;            // sorted by path
  std::vector<std::string> participants;  // bare labels of all participant folders, sorted
  std::vector<std::string> warnings;
};

/// Lists the folders of a dataset with `options.threads` threads; content is looked at only where a file is
/// so small that it may be an annex pointer. Errors: SB2101 root missing, SB2002 names that differ only in
/// case, SB5002 unreadable folder.
WalkResult walk_dataset(const std::filesystem::path& root, const ScanOptions& options,
                        const IgnoreRules& ignore);

}  // namespace slim::bids
