// SPDX-License-Identifier: Apache-2.0
#include "train/trainer_state.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"

namespace slim::train {

void write_trainer_state(const std::filesystem::path& path, const TrainerState& state) {
  for (const auto& [name, value] : state.watch) {
    if (!std::isfinite(value)) {
      throw Error(message::kBug, "The trainer's " + name + " is not finite.");
    }
  }
  nlohmann::ordered_json json{{"step", state.step},
                              {"epoch", state.epoch},
                              {"epoch_step", state.epoch_step},
                              {"samples", state.samples},
                              {"wall_s", state.wall_s},
                              {"seed", state.seed},
                              {"world_size", state.world_size},
                              {"threads", state.threads}};
  json["best"] = state.best && std::isfinite(*state.best) ? nlohmann::ordered_json(*state.best) : nullptr;
  json["watch"] = state.watch;
  json["hashes"] = state.hashes;
  write_text(path, json.dump(2) + "\n");
}

TrainerState read_trainer_state(const std::filesystem::path& path) {
  const nlohmann::json json = read_json(path);
  try {
    TrainerState state{.step = json.at("step").get<int64_t>(),
                       .epoch = json.at("epoch").get<int64_t>(),
                       .epoch_step = json.at("epoch_step").get<int64_t>(),
                       .samples = json.at("samples").get<int64_t>(),
                       .wall_s = json.at("wall_s").get<double>(),
                       .seed = json.at("seed").get<uint64_t>(),
                       .world_size = json.at("world_size").get<int64_t>(),
                       .threads = json.at("threads").get<int64_t>(),
                       .watch = json.at("watch").get<std::map<std::string, double>>(),
                       .hashes = json.at("hashes").get<std::map<std::string, std::string>>()};
    if (!json.at("best").is_null()) {
      state.best = json.at("best").get<double>();
    }
    return state;
  } catch (const nlohmann::json::exception& problem) {
    throw Error(message::kBadCheckpoint, "The trainer's state cannot be used.",
                {.file = path.string(), .found = problem.what()});
  }
}

std::vector<ChangedHash> changed_hashes(const TrainerState& saved,
                                        const std::map<std::string, std::string>& now) {
  const auto of = [](const std::map<std::string, std::string>& hashes, const std::string& name) {
    const auto found = hashes.find(name);
    return found == hashes.end() ? std::string() : found->second;
  };
  std::set<std::string> names;
  for (const auto* hashes : {&saved.hashes, &now}) {
    for (const auto& item : *hashes) {
      names.insert(item.first);
    }
  }
  std::vector<ChangedHash> changed;
  for (const std::string& name : names) {
    if (of(saved.hashes, name) != of(now, name)) {
      changed.push_back({name, of(saved.hashes, name), of(now, name)});
    }
  }
  return changed;
}

}  // namespace slim::train
