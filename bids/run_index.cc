// SPDX-License-Identifier: Apache-2.0
#include "bids/run_index.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "bids/hcp.h"
#include "bids/schema.h"
#include "core/error.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::bids {
namespace {

// Still true of a preprocessed image; timing of slices and the like is not.
constexpr std::array<const char*, 8> kInheritedKeys{"RepetitionTime",
                                                    "TaskName",
                                                    "EchoTime",
                                                    "FlipAngle",
                                                    "MagneticFieldStrength",
                                                    "Manufacturer",
                                                    "ManufacturersModelName",
                                                    "InstitutionName"};

bool is_image(const BidsFile& file) {
  return file.name.suffix == "bold" && (file.name.extension == ".nii" || file.name.extension == ".nii.gz") &&
         file.name.get("sub") != nullptr;
}

std::string entity_key_text(const BidsName& name) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : name.entities) {
    const size_t zeros = is_index_entity(key) ? std::min(value.find_first_not_of('0'), value.size() - 1) : 0;
    parts.push_back(key + "-" + value.substr(zeros));
  }
  std::sort(parts.begin(), parts.end());
  std::string text;
  for (const std::string& part : parts) {
    text += part + "_";
  }
  return text;
}

std::string companion_key(const BidsName& name) {
  return entity_key_text(name) + name.suffix + name.extension;
}

// "bids:raw:sub-01/func/x.nii.gz", "bids::sub-01/..." and plain relative paths name raw files.
std::vector<std::string> raw_paths(const json& metadata) {
  std::vector<std::string> paths;
  for (const char* key : {"RawSources", "Sources"}) {
    if (!metadata.is_object() || !metadata.contains(key) || !metadata[key].is_array()) {
      continue;
    }
    for (const json& item : metadata[key]) {
      std::string text = item.is_string() ? item.get<std::string>() : std::string();
      if (text.starts_with("bids:")) {
        const size_t colon = text.find(':', 5);
        const std::string name = colon == std::string::npos ? "" : text.substr(5, colon - 5);
        text = name == "raw" ? text.substr(colon + 1) : std::string();
      }
      if (!text.empty()) {
        paths.push_back(text);
      }
    }
  }
  return paths;
}

}  // namespace

std::string run_key(const BidsName& name) {
  return entity_key_text(name.raw().without("echo").without("part"));
}

std::string why_no_series(const BidsName& name) {
  const std::string* part = name.get("part");
  if (name.get("echo") != nullptr) {
    return "one echo of several";
  }
  if (part != nullptr && *part != "mag") {
    return "part-" + *part;
  }
  for (const char* key : {"hemi", "den", "cohort"}) {
    if (name.get(key) != nullptr) {
      return std::string(key) + "-" + *name.get(key);
    }
  }
  if (!name.is_canonical()) {
    try {
      name.build();
    } catch (const Error&) {
      return "its name repeats an entity";
    }
  }
  return {};
}

RunIndex RunIndex::scan(const InputChoice& inputs, const std::vector<std::string>& participants,
                        int threads) {
  RunIndex index;
  std::set<std::string> people;
  const ScanOptions options{.participants = participants, .threads = threads};
  if (!inputs.raw_root.empty()) {
    index.raw_ = BidsDataset::scan(inputs.raw_root, options);
    people.insert(index.raw_->participants().begin(), index.raw_->participants().end());
    for (const BidsFile& file : index.raw_->files()) {
      if (is_image(file) && file.datatype == "func") {
        index.raw_images_.push_back(file);
        index.raw_by_run_.try_emplace(run_key(file.name), &file);
      }
    }
  }
  for (size_t place = 0; place < inputs.datasets.size(); ++place) {
    const InputDataset& input = inputs.datasets[place];
    index.datasets_.emplace_back();
    index.companions_.emplace_back();
    if (input.producer == Producer::Hcp) {
      HcpScan found = scan_hcp(input.root, participants);
      people.insert(found.participants.begin(), found.participants.end());
      for (HcpImage& image : found.images) {
        index.images_.push_back({.dataset = place,
                                 .file = {.path = image.path, .name = image.name, .datatype = "func"},
                                 .absolute = image.absolute,
                                 .present = image.present,
                                 .mask = std::move(image.mask),
                                 .movement_regressors = std::move(image.movement_regressors)});
      }
      for (HcpOther& other : found.others) {
        index.others_.emplace_back(std::move(other.path), std::move(other.reason));
      }
      continue;
    }
    const BidsDataset& dataset = index.datasets_.back().emplace(BidsDataset::scan(input.root, options));
    people.insert(dataset.participants().begin(), dataset.participants().end());
    index.warnings_.insert(index.warnings_.end(), dataset.warnings().begin(), dataset.warnings().end());
    for (const BidsFile& file : dataset.files()) {
      if (is_image(file)) {
        index.images_.push_back({.dataset = place, .file = file, .absolute = dataset.absolute(file)});
      } else if (file.name.suffix == "mask" || file.name.suffix == "timeseries" ||
                 file.name.suffix == "regressors") {
        index.companions_.back().try_emplace(companion_key(file.name), &file);
      }
    }
  }
  index.participants_.assign(people.begin(), people.end());
  return index;
}

const BidsFile* RunIndex::companion(size_t dataset, const BidsName& name) const {
  const auto found = companions_[dataset].find(companion_key(name));
  return found == companions_[dataset].end() ? nullptr : found->second;
}

fs::path RunIndex::absolute(size_t dataset, const BidsFile& file) const {
  return datasets_[dataset]->absolute(file);
}

const BidsFile* RunIndex::raw_run(const IndexedImage& image, const json& metadata) const {
  for (const std::string& path : raw_paths(metadata)) {
    const BidsFile* file = raw_->find(path);
    if (file != nullptr && is_image(*file)) {
      return file;
    }
  }
  const auto found = raw_by_run_.find(run_key(image.file.name));
  return found == raw_by_run_.end() ? nullptr : found->second;
}

FoundMetadata RunIndex::metadata(const IndexedImage& image) const {
  const std::optional<BidsDataset>& dataset = datasets_[image.dataset];
  json merged = dataset ? dataset->metadata(image.file) : json::object();
  if (!dataset) {
    merged["TaskName"] = *image.file.name.get("task");
  }
  std::string note;
  const BidsFile* raw_file = raw_ ? raw_run(image, merged) : nullptr;
  if (raw_file != nullptr) {
    const json raw_metadata = raw_->metadata(*raw_file);
    const bool own_timing = merged.contains("VolumeTiming");
    for (const char* key : kInheritedKeys) {
      const bool clashes = own_timing && std::string_view(key) == "RepetitionTime";
      if (raw_metadata.contains(key) && !merged.contains(key) && !clashes) {
        merged[key] = raw_metadata[key];
        note += (note.empty() ? "" : ", ") + std::string(key);
      }
    }
    if (!note.empty()) {
      note += " from the raw run " + raw_file->path;
    }
  }
  return {.json = std::make_shared<const json>(std::move(merged)), .note = std::move(note)};
}

}  // namespace slim::bids
