// SPDX-License-Identifier: Apache-2.0
#include "pipelines/group.h"

#include <algorithm>
#include <cstdio>

#include "bids/producer.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "pipelines/job.h"
#include "pipelines/lock.h"
#include "pipelines/participant.h"
#include "pipelines/resources.h"
#include "pipelines/stages.h"
#include "pipelines/stop_signal.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

std::vector<OutputFolder> folders_of(const GroupCall& call) {
  std::vector<OutputFolder> folders{{"slimbrain", call.out_dir}};
  for (const std::string& text : call.config.input.derivatives) {
    const bids::NamedPath named = bids::parse_named_path(text);
    folders.push_back({named.name, named.path});
  }
  return folders;
}

}  // namespace

std::string capitalised(std::string label) {
  if (!label.empty() && label.front() >= 'a' && label.front() <= 'z') {
    label.front() = static_cast<char>(label.front() - 'a' + 'A');
  }
  return label;
}

void write_group_table(const fs::path& folder, const GroupTable& table) {
  nlohmann::json sidecar = table.more;
  sidecar["Description"] = table.description;
  std::string text;
  for (const auto& [name, description] : table.columns) {
    sidecar[name] = {{"Description", description}};
    text += (text.empty() ? "" : "\t") + name;
  }
  text += "\n";
  for (const std::vector<std::string>& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += (i == 0 ? "" : "\t") + (row[i].empty() ? "n/a" : row[i]);
    }
    text += "\n";
  }
  fs::path json = folder / table.file;
  json.replace_extension(".json");
  write_text_if_different(json, sidecar.dump(2) + "\n");
  write_text_if_different(folder / table.file, text);
}

int run_group(GroupCall call, Log& log) {
  const std::vector<Field> fields = config_fields(call.config);
  if (call.config.run.print_config) {
    std::fputs(settings_text(fields, call.origins).c_str(), stdout);
    return 0;
  }
  const ProgressStyle progress =
      progress_style(call.config.report.progress, log.json() || log.level() == Level::Quiet);
  const std::vector<const GroupStageEntry*> chosen = chosen_group_stages(call.config.run.stages);
  const std::vector<StoredRun> runs = stored_runs(folders_of(call));
  if (call.config.run.dry_run) {
    for (const GroupStageEntry* stage : chosen) {
      std::printf("stage: %s (%s), from %zu runs\n", std::string(stage->name).c_str(),
                  std::string(stage->help).c_str(), runs.size());
    }
    return 0;
  }
  const ParticipantLock lock = ParticipantLock::acquire(call.out_dir, "group");
  RunRecord record(call.out_dir, {{"argv", call.argv}, {"runs", runs.size()}});
  log.open_files(record.stem());
  const std::atomic<bool>& stop = watch_stop_signals();
  const int64_t threads = std::max<int64_t>(1, call.config.resources.nprocs.value_or(detect_threads().value));
  const GroupJob job{call.config, runs, call.out_dir, log, progress, stop, static_cast<int>(threads)};
  bool left = false;  // a stop that comes when everything is done stops nothing
  for (const GroupStageEntry* stage : chosen) {
    left = left || stop;
    if (left) {
      break;
    }
    UnitResult result = attempt(
        std::string(stage->name), "group", [&](const Error& error) { log.error(error); },
        [&] {
          stage->run(job);
          return UnitReport{};
        });
    left = result.code == message::kStopped.code;
    if (!left) {  // what was stopped has not failed
      record.add(std::move(result));
    }
  }
  std::printf("%s\n", record.close(left).c_str());
  return record.exit_code(left);
}

}  // namespace slim::pipelines
