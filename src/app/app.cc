// SPDX-License-Identifier: Apache-2.0
#include "app/app.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>

#include "app/cli.h"
#include "app/model_cli.h"
#include "core/error.h"
#include "core/log.h"
#include "model/device/cuda_plugin.h"
#include "pipelines/doctor.h"
#include "pipelines/group.h"
#include "pipelines/participant.h"
#include "pipelines/stages.h"

namespace slim::app {
namespace {

int report(const Error& error) {
  std::fprintf(stderr, "slimbrain: error %s\n", error.what());
  return static_cast<int>(error.fault());
}

/// The one place where errors end.
template <class Work>
int guarded(Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    return report(error);
  } catch (const std::bad_alloc&) {
    return report(Error(message::kNoMemory, "Memory ran out.", {.remedy = "ask for more memory"}));
  } catch (const std::exception& error) {
    return report(
        Error(message::kBug, std::string("Internal error: ") + error.what(), {.remedy = "please report it"}));
  }
}

int run_line(const std::vector<std::string>& words) {
  CommandLine line = parse_command_line(words);
  if (line.action == Action::ShowText) {
    std::fputs(line.text.c_str(), stdout);
    return 0;
  }
  if (line.config.report.log_format != "text" && line.config.report.log_format != "json") {
    throw Error(message::kBadValue,
                "--log-format " + line.config.report.log_format + " is not valid: use text or json.");
  }
  if (line.action == Action::Doctor) {
    return pipelines::run_doctor(line.config);
  }
  Log log(static_cast<Level>(std::min(line.verbosity, 2)), line.config.report.log_format == "json");
  for (const std::string& note : line.notes) {
    log.say(note.starts_with("The environment") ? Level::Normal : Level::Detail, note);
  }
  std::vector<std::string> argv{"slimbrain"};
  argv.insert(argv.end(), words.begin(), words.end());
  const std::vector<std::string> stages = line.config.run.stages;
  int code = 0;
  for (const std::string& level : line.levels) {
    if (code > 1) {  // the group level starts after a call that came to its end
      break;
    }
    if (line.levels.size() == 2 && !stages.empty()) {  // each level takes its own
      std::erase_if(line.config.run.stages = stages, [&](const std::string& name) {
        return pipelines::is_group_stage(name) != (level == "group");
      });
    }
    code =
        level == "participant"
            ? pipelines::run_participant({line.bids_dir, line.out_dir, line.config, line.origins, argv}, log)
            : std::max(code, pipelines::run_group({line.out_dir, line.config, line.origins, argv}, log));
  }
  return code;
}

}  // namespace

int run(const std::vector<std::string>& words) {
  // First thing: torch asks for CUDA once in a process's life, and the plugin must be mapped by then.
  model::load_cuda_plugin_if_wanted(words);
  return guarded([&] { return run_line(words); });
}

int run_model_tool(const std::vector<std::string>& words) {
  return guarded([&] { return run_model_words(words); });
}

}  // namespace slim::app
