// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace slim::pipelines {

/// A feature of each clip of a run.
using FeatureRows = std::vector<std::vector<float>>;

// Note [Kept features]. An untrained encoder costs as much time as embedding did, for every target anew, and
// a stopped call would lose it all. So the features of runs that are done stay in a folder.
/// Features of runs, each run's in a file named by the hash of a key, which says all that they depend on.
class KeptFeatures {
 public:
  /// Makes the folder, which one process at a time writes to.
  KeptFeatures(std::filesystem::path folder, int64_t width);
  /// Nothing where none were kept. Error SB2020 for a file that is broken.
  std::optional<FeatureRows> find(const std::string& key, size_t clips) const;
  void keep(const std::string& key, const FeatureRows& rows) const;

 private:
  std::filesystem::path file_of(const std::string& key) const;
  std::filesystem::path folder_;
  int64_t width_;
};

}  // namespace slim::pipelines
