// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "pipelines/job.h"

namespace slim::pipelines {

/// One stage of the participant level: its name, what it makes, and the function that does it.
struct StageEntry {
  std::string_view name;
  std::string_view help;
  void (*run)(const Job& job);
};

/// The stages in the order in which they are done, whatever the order asked for.
std::span<const StageEntry> stages();

/// Sorted out of --stages (empty = all). Error SB1005 for a stage of another level or version, SB1002 for an unknown one.
std::vector<const StageEntry*> chosen_stages(const std::vector<std::string>& names);

}  // namespace slim::pipelines
