// SPDX-License-Identifier: Apache-2.0
#include "pipelines/stages.h"

#include <algorithm>
#include <array>
#include <span>

#include "core/error.h"
#include "core/nearest.h"
#include "pipelines/embed.h"
#include "pipelines/evaluate.h"
#include "pipelines/finetune.h"
#include "pipelines/predict.h"
#include "pipelines/prep.h"
#include "pipelines/pretrain.h"
#include "pipelines/saliency.h"

namespace slim::pipelines {
namespace {

constexpr std::array kStages{
    StageEntry{"prep", "BOLD runs to clip stores on the SLIM grid", run_prep},
    StageEntry{"embed", "clip stores to embeddings", run_embed},
    StageEntry{"predict", "clip stores to predictions of the model's head", run_predict},
    StageEntry{"saliency", "which voxels the predictions came from", run_saliency}};
constexpr std::array kGroupStages{
    GroupStageEntry{"index", "list of the clip stores", run_index},
    GroupStageEntry{"pretrain", "clip stores to a model", run_pretrain},
    GroupStageEntry{"finetune", "a model to one that predicts a target", run_finetune},
    GroupStageEntry{"evaluate", "how well a model predicts a target, beside baselines", run_evaluate},
    GroupStageEntry{"aggregate", "tables of all runs: completeness, QC, embeddings", run_aggregate}};

template <class Entry>
std::vector<std::string> names_of(std::span<const Entry> entries) {
  std::vector<std::string> names;
  for (const Entry& entry : entries) {
    names.emplace_back(entry.name);
  }
  return names;
}

bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <class Entry>
std::vector<const Entry*> choose(std::span<const Entry> entries, const std::vector<std::string>& names,
                                 const std::vector<std::string>& of_other_level, const std::string& level,
                                 const std::string& other) {
  const std::vector<std::string> known = names_of(entries);
  for (const std::string& name : names) {
    if (holds(of_other_level, name)) {
      throw Error(message::kWrongLevel,
                  "Stage " + name + " belongs to level " + other + ", not " + level + ".");
    }
    if (!holds(known, name)) {
      throw Error(message::kBadValue, "--stages " + name +
                                          " is not valid: this version has no such stage; the nearest is " +
                                          nearest(name, known) + ".");
    }
  }
  std::vector<const Entry*> chosen;
  for (const Entry& entry : entries) {
    if (holds(names, entry.name)) {
      chosen.push_back(&entry);
    }
  }
  return chosen;
}

}  // namespace

std::vector<const StageEntry*> chosen_stages(const std::vector<std::string>& names) {
  const std::vector<std::string> wanted = names.empty() ? std::vector<std::string>{"prep", "embed"} : names;
  return choose<StageEntry>(kStages, wanted, names_of<GroupStageEntry>(kGroupStages), "participant", "group");
}

bool is_group_stage(std::string_view name) { return holds(names_of<GroupStageEntry>(kGroupStages), name); }

std::vector<const GroupStageEntry*> chosen_group_stages(const std::vector<std::string>& names) {
  const std::vector<std::string> wanted = names.empty() ? std::vector<std::string>{"aggregate"} : names;
  return choose<GroupStageEntry>(kGroupStages, wanted, names_of<StageEntry>(kStages), "group", "participant");
}

}  // namespace slim::pipelines
