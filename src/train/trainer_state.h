// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace slim::train {

/// What trainer.json says beside the tensors of a checkpoint.
struct TrainerState {
  int64_t step = 0;        // optimiser steps taken
  int64_t epoch = 0;       // of the next step
  int64_t epoch_step = 0;  // the next step's number in its epoch
  int64_t samples = 0;     // clips seen
  double wall_s = 0;
  uint64_t seed = 0;
  int64_t world_size = 1;
  int64_t threads = 1;                    // of the computation; another number changes the last bits of a sum
  std::optional<double> best{};           // metric of the best validation so far
  std::map<std::string, double> watch{};  // counters of monitors, sums of the running epoch
  std::map<std::string, std::string> hashes{};  // of config, data index, model card, code, torch

  bool operator==(const TrainerState&) const = default;
};

/// Writes and reads trainer.json; doubles come back bit for bit (NaN in `watch` is refused as SB9001).
/// Reading: errors SB2101, SB2019, and SB2021 for a missing or mistyped key.
void write_trainer_state(const std::filesystem::path& path, const TrainerState& state);
TrainerState read_trainer_state(const std::filesystem::path& path);

/// One hash that is not what the checkpoint was made with.
struct ChangedHash {
  std::string name, saved, now;
};
/// Hashes that differ or exist on one side alone (then empty on the other), by name.
std::vector<ChangedHash> changed_hashes(const TrainerState& saved,
                                        const std::map<std::string, std::string>& now);

}  // namespace slim::train
