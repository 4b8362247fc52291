// SPDX-License-Identifier: Apache-2.0
#include "pipelines/stored_runs.h"

#include <algorithm>

#include "bids/producer.h"
#include "core/error.h"
#include "core/json_file.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

std::string unit_of(const bids::BidsName& raw) {
  const std::string text = raw.with_suffix("bold").with_extension(".nii.gz").build();
  return text.substr(0, text.rfind('_'));
}

/// The stage failures of units that no later call mended, from the folder's run records in order of time.
std::map<std::string, std::map<std::string, std::string>> failures_in(const fs::path& root) {
  std::vector<fs::path> records;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(root / "logs", ignored)) {
    if (entry.path().extension() == ".json") {
      records.push_back(entry.path());
    }
  }
  std::sort(records.begin(), records.end());  // their names begin with the time
  std::map<std::string, std::map<std::string, std::string>> failures;
  for (const fs::path& path : records) {
    const nlohmann::json record = read_json(path);
    for (const nlohmann::json& unit : record.value("units", nlohmann::json::array())) {
      auto& stages = failures[unit.value("unit", "")];
      if (unit.value("outcome", "") == "failed") {
        stages[unit.value("stage", "")] = unit.value("code", "") + ": " + unit.value("reason", "");
      } else if (unit.value("outcome", "") != "excluded") {
        stages.erase(unit.value("stage", ""));
      }
    }
  }
  return failures;
}

}  // namespace

std::string StoredRun::unit() const { return unit_of(name); }

std::string StoredRun::cell(const std::string& entity) const {
  const std::string* value = name.get(entity);
  if (value == nullptr) {
    return "n/a";
  }
  return entity == "sub" || entity == "ses" ? entity + "-" + *value : *value;
}

std::vector<StoredRun> stored_runs(const std::vector<OutputFolder>& folders) {
  std::vector<StoredRun> all;
  for (const OutputFolder& folder : folders) {
    if (!fs::is_directory(folder.root)) {
      throw Error(message::kMissingPath, "This output folder does not exist.",
                  {.file = folder.root.string(), .remedy = "run the participant level first"});
    }
    if (bids::recognise(folder.root).kind != bids::Recognition::Kind::OwnOutput) {
      throw Error(message::kBadOutputPlace, "This folder is no output of slimbrain.",
                  {.file = folder.root.string(), .remedy = "name the OUT_DIR of a participant call"});
    }
    std::map<std::string, StoredRun> runs;
    const auto run_of = [&](const bids::BidsName& file) -> StoredRun& {
      const bids::BidsName raw = file.raw().with_suffix("bold").with_extension(".nii.gz");
      StoredRun& run = runs[unit_of(raw)];
      run.dataset = folder.name;
      run.root = folder.root;
      run.name = raw;
      return run;
    };
    const bids::BidsDataset dataset = bids::BidsDataset::scan(folder.root);
    for (const bids::BidsFile& file : dataset.files()) {
      const std::string* desc = file.name.get("desc");
      if (file.name.get("sub") == nullptr || desc == nullptr) {
        continue;
      }
      if (file.name.suffix == "clips" && file.name.extension == ".safetensors") {
        run_of(file.name).store = file.path;
      } else if (file.name.suffix == "embedding" && file.name.extension == ".tsv") {
        run_of(file.name).embeddings[*desc] = file.path;
      } else if (file.name.suffix == "qc" && file.name.extension == ".json") {
        run_of(file.name).qc = file.path;
      } else if (file.name.suffix == "predictions" && file.name.extension == ".tsv") {
        run_of(file.name).predictions[*desc] = file.path;
      } else if (file.name.suffix == "boldmap" && file.name.extension == ".nii.gz") {
        run_of(file.name).saliency.push_back(file.path);
      }
    }
    for (const auto& [unit, failures] : failures_in(folder.root)) {
      const auto name = bids::BidsName::parse(unit + "_bold.nii.gz");
      if (!failures.empty() && name) {
        run_of(*name).failures = failures;
      }
    }
    for (auto& [unit, run] : runs) {
      all.push_back(std::move(run));
    }
  }
  return all;
}

}  // namespace slim::pipelines
