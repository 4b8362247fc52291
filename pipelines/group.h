// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "pipelines/config.h"
#include "pipelines/progress.h"
#include "pipelines/run_record.h"
#include "pipelines/stored_runs.h"

namespace slim::pipelines {

/// What every stage of one group call shares.
struct GroupJob {
  const Config& config;
  const std::vector<StoredRun>& runs;
  std::filesystem::path out_dir;
  Log& log;
  ProgressStyle progress;
  const std::atomic<bool>& stop;
  int threads;
};

/// A call of the group level, as the command line gave it. BIDS_DIR is not read.
struct GroupCall {
  std::filesystem::path out_dir;
  Config config;
  Origins origins;
  std::vector<std::string> argv;
};

/// Does the chosen group stages from OUT_DIR (and the output folders given with -d NAME=PATH) alone. Returns
/// the exit code and prints the last line to standard output.
int run_group(GroupCall call, Log& log);

/// A label whose first letter is a capital, so that it can follow another one in a file's name: groupTest.
std::string capitalised(std::string label);

/// A table of a group stage: `group_<suffix>.tsv`, with the description of each column beside it as JSON.
struct GroupTable {
  std::string file;  // group_index.tsv
  std::string description;
  std::vector<std::pair<std::string, std::string>> columns;  // name, description
  std::vector<std::vector<std::string>> rows{};
  nlohmann::json more = nlohmann::json::object();  // further keys of the sidecar
};
/// Writes table and sidecar into a folder; files that hold the same already are left alone.
void write_group_table(const std::filesystem::path& folder, const GroupTable& table);

/// group_index.tsv: the clip stores that training may use. Error SB3002 without any, SB4002 for a mixture of
/// template families or z-score scopes.
void run_index(const GroupJob& job);

/// group_completeness.tsv, group_qc.tsv, for each model group_desc-<model>_embeddings.tsv, for each target
/// the phenotype table of its predictions and the mean maps of what they came from.
void run_aggregate(const GroupJob& job);

}  // namespace slim::pipelines
