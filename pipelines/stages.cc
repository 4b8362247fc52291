// SPDX-License-Identifier: Apache-2.0
#include "pipelines/stages.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/nearest.h"
#include "pipelines/embed.h"
#include "pipelines/prep.h"

namespace slim::pipelines {
namespace {

constexpr std::array kStages{StageEntry{"prep", "BOLD runs to clip stores on the SLIM grid", run_prep},
                             StageEntry{"embed", "clip stores to embeddings", run_embed}};

}  // namespace

std::span<const StageEntry> stages() { return kStages; }

std::vector<const StageEntry*> chosen_stages(const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const StageEntry& stage : kStages) {
    known.emplace_back(stage.name);
  }
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw Error(message::kBadValue,
                  "--stages " + name + " is not valid: this version has the stages prep and embed; the nearest is " +
                      nearest(name, known) + ".");
    }
  }
  std::vector<const StageEntry*> chosen;
  for (const StageEntry& stage : kStages) {
    if (names.empty() || std::find(names.begin(), names.end(), stage.name) != names.end()) {
      chosen.push_back(&stage);
    }
  }
  return chosen;
}

}  // namespace slim::pipelines
