// SPDX-License-Identifier: Apache-2.0
#include "pipelines/group_maps.h"

#include <map>
#include <set>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"
#include "image/nifti_io.h"
#include "model/checkpoint/model_folder.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::pipelines {
namespace {

/// A run's map, and what its sidecar says of it.
struct RunMap {
  std::string participant;  // NAME/sub-X
  fs::path file;
  json sidecar;
  std::string class_name, split;  // class_name: whose logit is explained; empty for a number
};

/// Maps that could have one mean: of one task, space, method and target.
using Alike = std::vector<RunMap>;

/// The name that a mean of such maps has, but for its desc. Empty for what is no map on the SLIM grid.
std::optional<bids::BidsName> group_name(const fs::path& map) {
  const auto name = bids::BidsName::parse(map.filename().string());
  const std::string *stat = name ? name->get("stat") : nullptr, *res = name ? name->get("res") : nullptr;
  if (stat == nullptr || (*stat != "intgrad" && *stat != "gradxinput") || res == nullptr || *res != "slim") {
    return std::nullopt;
  }
  bids::BidsName group{.entities = {}, .suffix = "boldmap", .extension = ".nii.gz", .prefix = "group"};
  for (const char* entity : {"task", "space", "res", "stat", "desc"}) {
    if (const std::string* value = name->get(entity)) {
      group = group.with(entity, *value);
    }
  }
  return group;
}

RunMap read_run_map(const StoredRun& run, const fs::path& file) {
  const fs::path beside = fs::path(file).replace_extension().replace_extension(".json");  // .nii.gz
  RunMap map{.participant = run.dataset + "/" + run.cell("sub"),
             .file = file,
             .sidecar = read_json(beside),
             .class_name = {},
             .split = {}};
  try {
    const json& saliency = map.sidecar.at("Slimbrain").at("Saliency");
    map.class_name = saliency.value("Class", "");
    map.split = saliency.at("Split");
    map.sidecar.at("Slimbrain").at("Model").at("WeightsSHA256");
  } catch (const json::exception&) {
    throw Error(message::kBadTable, "The sidecar of a map does not say what a mean of maps needs.",
                {.file = beside.string(),
                 .expected = "Slimbrain.Saliency.Split and Slimbrain.Model.WeightsSHA256",
                 .remedy = "make the maps anew: participant --stages saliency"});
  }
  return map;
}

/// Error SB4002 unless one model made all maps in one way.
void check_alike(const Alike& maps) {
  const auto made_by = [](const RunMap& map) {
    return map.sidecar.at("Slimbrain").at("Model").at("WeightsSHA256").get<std::string>() + ", " +
           map.sidecar.value("Method", "");
  };
  for (const RunMap& map : maps) {
    if (made_by(map) != made_by(maps.front())) {
      throw Error(message::kUnfitModel, "These maps have no mean: two models, or two methods, made them.",
                  {.file = map.file.string(),
                   .expected = made_by(maps.front()) + ", as of " + maps.front().file.string(),
                   .found = made_by(map),
                   .remedy = "make all maps anew with one model: participant --stages saliency"});
    }
  }
}

std::vector<float> values_of(const fs::path& file) {
  image::Volume volume = image::read_volume(file);
  if (volume.grid.size != image::slim_grid().size) {
    throw Error(message::kBadHeader, "This map does not lie on the SLIM grid.", {.file = file.string()});
  }
  return std::move(volume.values);
}

/// Mean over participants of the mean over their runs.
std::vector<float> mean_of(const std::map<std::string, std::vector<const RunMap*>>& people) {
  std::vector<double> sum;
  for (const auto& [participant, maps] : people) {
    for (const RunMap* map : maps) {
      const std::vector<float> values = values_of(map->file);
      sum.resize(values.size(), 0.0);
      for (size_t v = 0; v < values.size(); ++v) {
        sum[v] += static_cast<double>(values[v]) / static_cast<double>(maps.size() * people.size());
      }
    }
  }
  return {sum.begin(), sum.end()};
}

void write_mean(const GroupJob& job, const bids::BidsName& name, const std::string& split,
                const std::map<std::string, std::vector<const RunMap*>>& people) {
  const json& first = people.begin()->second.front()->sidecar;
  json participants = json::array(), sources = json::array();
  for (const auto& [participant, maps] : people) {
    participants.push_back(participant);
    for (const RunMap* map : maps) {
      sources.push_back(participant + ": " + map->file.filename().string());
    }
  }
  const json& block = first.at("Slimbrain");
  const json sidecar{
      {"Description", "Mean map of what made the prediction of " +
                          first.at("Target").at("Name").get<std::string>() + ": participants in split " +
                          split + " of the model's head (" + std::to_string(people.size()) + ")."},
      {"Method", first.at("Method")},
      {"Function", first.at("Function")},
      {"Units", first.at("Units")},
      {"Target", first.at("Target")},
      {"Resolution", first.at("Resolution")},
      {"SkullStripped", true},
      {"Normalization", "none: signed; a voxel that a run lacks counts as 0"},
      {"Slimbrain",
       {{"Model", block.at("Model")}, {"Split", split}, {"Participants", participants}, {"Maps", sources}}}};
  const fs::path path = job.out_dir / name.build();
  write_text_if_different(job.out_dir / name.with_extension(".json").build(), sidecar.dump(2) + "\n");
  write_atomically(path, [&](const fs::path& temporary) {
    image::write_nifti(temporary, image::slim_grid(), mean_of(people), {.form_code = 4});
  });
  job.log.say(Level::Normal, "aggregate: mean map of " + std::to_string(people.size()) +
                                 (people.size() == 1 ? " participant in " : " participants in ") +
                                 path.filename().string());
}

}  // namespace

void write_group_maps(const GroupJob& job) {
  std::map<std::string, std::pair<bids::BidsName, Alike>> kinds;
  for (const StoredRun& run : job.runs) {
    for (const std::string& path : run.saliency) {
      if (const std::optional<bids::BidsName> name = group_name(path)) {
        const auto place = kinds.try_emplace(name->build(), *name, Alike{}).first;
        place->second.second.push_back(read_run_map(run, run.root / path));
      }
    }
  }
  for (const auto& [text, kind] : kinds) {
    const auto& [name, maps] = kind;
    check_alike(maps);
    std::set<std::string> classes;
    std::map<std::pair<std::string, std::string>, std::map<std::string, std::vector<const RunMap*>>> parts;
    for (const RunMap& map : maps) {
      classes.insert(map.class_name);
      parts[{map.class_name, map.split}][map.participant].push_back(&map);
    }
    for (const auto& [part, people] : parts) {
      const auto& [class_name, split] = part;
      // Never the target's label alone: by BIDS inheritance the sidecar would apply to every run's map.
      const std::string label = *name.get("desc") +
                                (classes.size() > 1 ? capitalised(model::model_label(class_name)) : "") +
                                capitalised(split);
      write_mean(job, name.with("desc", label), split, people);
    }
  }
}

}  // namespace slim::pipelines
