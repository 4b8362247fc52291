// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipelines/group.h"
#include "pipelines/job.h"

namespace slim::pipelines {

/// One stage of a level: its name, what it makes, and the function that does it.
template <class JobType>
struct StageOf {
  std::string_view name;
  std::string_view help;
  void (*run)(const JobType& job);
};
using StageEntry = StageOf<Job>;
using GroupStageEntry = StageOf<GroupJob>;

/// The stages that --stages names, in the order in which they are done; empty = the level's default. Error
/// SB1005 for a stage of the other level, SB1002 for an unknown one.
std::vector<const StageEntry*> chosen_stages(const std::vector<std::string>& names);
std::vector<const GroupStageEntry*> chosen_group_stages(const std::vector<std::string>& names);
/// Whether a stage of that name belongs to the group level.
bool is_group_stage(std::string_view name);

}  // namespace slim::pipelines
