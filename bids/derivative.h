// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "bids/bids_name.h"
#include "bids/dataset_description.h"

namespace slim::bids {

/// Writes a file's content to the path it is given (a temporary name with the final extension).
using DataWriter = std::function<void(const std::filesystem::path&)>;

/// A data file of our outputs and its sidecar. With the extension .json the sidecar is the file and `write`
/// is not called.
struct DerivativeFile {
  BidsName name;
  nlohmann::json sidecar;
  DataWriter write;
};

struct OpenOptions {
  /// Runs a function while no other process changes the description; default: runs it at once.
  std::function<void(const std::function<void()>&)> exclusively{};
  bool replace_configuration = false;  // --force: another ConfigurationHash is taken over
};

/// Error SB1007 when OUT_DIR is BIDS_DIR itself or lies inside its sub-* folders or sourcedata; links are
/// resolved.
void check_output_place(const std::filesystem::path& bids_dir, const std::filesystem::path& out_dir);

/// Our outputs as a BIDS derivative dataset: the one place that writes results. Safe beside other processes
/// that write other participants, and beside any that open the same folder.
class DerivativeDataset {
 public:
  /// Creates OUT_DIR and its dataset-level files where absent, grows the description where something is new.
  /// Errors: SB1007 another program's dataset, SB1008 another configuration, SB5001, SB5002.
  static DerivativeDataset open(const std::filesystem::path& root, const DatasetFacts& facts,
                                const OpenOptions& options = {});

  const std::filesystem::path& root() const { return root_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// sub-X/[ses-Y/]DATATYPE, relative, with '/'. Error SB9001 without a participant.
  static std::string folder_of(const BidsName& name, std::string_view datatype = "func");
  /// Path of a file relative to the root.
  static std::string relative_path(const BidsName& name, std::string_view datatype = "func");
  std::filesystem::path path_of(const BidsName& name, std::string_view datatype = "func") const;
  std::filesystem::path sidecar_of(const BidsName& name, std::string_view datatype = "func") const;

  /// Note [Commit]. Publishes one data file with its sidecar: what is there already and equal is not
  /// rewritten.
  void commit(const BidsName& name, const nlohmann::json& sidecar, const DataWriter& write_data) const;
  /// Publishes a unit: the last file is the primary one, whose presence says that the whole unit is there.
  void commit_unit(const std::vector<DerivativeFile>& files) const;
  /// The unit's primary exists with exactly this sidecar.
  bool is_current(const BidsName& primary, const nlohmann::json& sidecar) const;
  /// The sidecar of a committed file; JSON null when the file or its sidecar is not there or cannot be read.
  nlohmann::json committed_sidecar(const BidsName& name) const;

  /// Removes leftovers of killed programs in a participant's folder (bare label; hold its lock). Returns
  /// their number.
  int remove_stale_partials(std::string_view participant) const;

 private:
  std::filesystem::path root_;
  std::vector<std::string> warnings_;
};

}  // namespace slim::bids
