// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bids/bids_dataset.h"

namespace slim::pipelines {

/// An output folder of ours that a group stage reads, and the name that keys its participants.
struct OutputFolder {
  std::string name;
  std::filesystem::path root;
};

/// What earlier calls committed for one run.
struct StoredRun {
  std::string dataset;  // name of its output folder
  std::filesystem::path root;
  bids::BidsName name;                               // raw entities, suffix bold
  std::string store;                                 // clip store, relative path; empty when there is none
  std::map<std::string, std::string> embeddings{};   // model label -> relative path of the table
  std::string qc{};                                  // relative path; empty when there is none
  std::map<std::string, std::string> predictions{};  // target label -> relative path of the table
  std::vector<std::string> saliency{};               // relative paths of the maps
  std::map<std::string, std::string> failures{};  // stage -> reason, from the latest run record that tried it

  std::string unit() const;  // sub-01_task-rest_run-1
  /// Entity with its key ("ses-1"), the bare value for task and run, "n/a" when absent.
  std::string cell(const std::string& entity) const;
};

/// All runs of the folders, sorted by dataset and name. Error SB2101 for a folder that does not exist, SB1007
/// for one that is no output of ours.
std::vector<StoredRun> stored_runs(const std::vector<OutputFolder>& folders);

}  // namespace slim::pipelines
