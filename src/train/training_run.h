// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "train/event_file.h"
#include "train/trainer_state.h"

namespace slim::train {

/// Sums of a running epoch, kept in a checkpoint's counters under "sum.NAME" and "count.NAME".
class EpochMeans {
 public:
  explicit EpochMeans(std::map<std::string, double>& sums) : sums_(sums) {}
  /// Adds the finite ones.
  void add(const std::vector<Scalar>& values);
  std::vector<Scalar> means() const;
  double mean(const std::string& name) const;
  void clear();

 private:
  std::map<std::string, double>& sums_;
};

/// Error SB1008 where a setting is not the one that a checkpoint was made with.
void refuse_other_settings(const TrainerState& saved, const std::map<std::string, std::string>& now,
                           const std::filesystem::path& checkpoint);

/// A number for people, four digits.
std::string short_text(double value);

}  // namespace slim::train
