// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/config.h"

namespace slim::app {

/// What a call asks for.
enum class Action { Run, ShowText, Doctor };

struct CommandLine {
  Action action = Action::Run;
  std::string text;  // for ShowText: help or version
  std::filesystem::path bids_dir, out_dir;
  std::vector<std::string> levels;
  pipelines::Config config;
  pipelines::Origins origins;
  int verbosity = 0;               // -v counted; -1 for -q
  std::vector<std::string> notes;  // sentences for the log: ignored flags, unknown variables
};

/// Parses a call of `slimbrain`. Defaults < recipe files < environment < flags and --set. Error with
/// Fault::Usage.
CommandLine parse_command_line(const std::vector<std::string>& words);

}  // namespace slim::app
