// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"

namespace slim::pipelines {

/// What became of a unit (one run x one stage).
enum class Outcome { Done, UpToDate, Failed, Excluded };

struct UnitResult {
  std::string stage, unit;
  Outcome outcome = Outcome::Done;
  double seconds = 0;
  std::string reason{};  // of a failure or exclusion
  std::string code{};    // of a failure
  std::optional<Fault> fault{};
};

/// The story of one call: logs/slimbrain-<UTC>-<8 hex>.json. Written when it opens and replaced when it
/// closes. The exit code and the last line of the program come from here.
class RunRecord {
 public:
  /// Makes OUT_DIR/logs. `facts`: argv, configuration with origins, inputs, ...
  RunRecord(const std::filesystem::path& out_dir, nlohmann::json facts);

  /// logs/slimbrain-... without extension.
  const std::filesystem::path& stem() const { return stem_; }
  void add_fact(const std::string& key, nlohmann::json value);
  void add(UnitResult result);
  /// Whether a stage of this call failed on this unit.
  bool failed(const std::string& unit) const;

  /// All done: 0. Stopped: 75. All failed for one class of reason: its number. Some failed: 1.
  int exit_code(bool stopped) const;
  /// Writes the final record and returns the line to print last.
  std::string close(bool stopped);

 private:
  void write(const nlohmann::json& ending);

  std::filesystem::path out_dir_, stem_;
  nlohmann::json facts_;
  std::vector<UnitResult> units_;
  mutable std::mutex mutex_;
};

}  // namespace slim::pipelines
