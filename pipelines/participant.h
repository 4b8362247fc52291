// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "pipelines/config.h"

namespace slim::pipelines {

/// A call of the participant level, as the command line gave it.
struct ParticipantCall {
  std::filesystem::path bids_dir, out_dir;
  Config config;
  Origins origins;
  std::vector<std::string> argv;
};

/// Does the chosen stages on the selected runs. Returns the exit code and prints the last line to standard
/// output. Errors when the call could not go on; nothing is written before inputs, settings and model are
/// known to be usable.
int run_participant(ParticipantCall call, Log& log);

/// Every setting with its value and origin, a line each.
std::string settings_text(const std::vector<Field>& fields, const Origins& origins);

}  // namespace slim::pipelines
