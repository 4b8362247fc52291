// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "model/checkpoint/model_folder.h"
#include "pipelines/group.h"
#include "tests/support/code_of.h"
#include "tests/support/run_program.h"

namespace slim::pipelines::test {

/// A group call over output folders that are made by hand: two datasets at most, `slimbrain` and `other`.
class GroupCallByHand {
  slim::test::TempFolder folder_;  // first: the paths below lie in it

 public:
  std::filesystem::path out = folder_ / "out", other = folder_ / "other", raw = folder_ / "raw",
                        other_raw = folder_ / "otherraw";
  Config config{};

  GroupCallByHand() {
    write("out/dataset_description.json",
          R"({"Name": "x", "DatasetLinks": {"fmriprep": "../nowhere", "raw": "../raw"}})");
    write("other/dataset_description.json",
          R"({"Name": "y", "DatasetLinks": {"raw": ")" + other_raw.string() + R"("}})");
    write("raw/dataset_description.json", "{}");
    write("otherraw/dataset_description.json", "{}");
    config.input.derivatives = {"other=" + other.string()};
  }
  void write(const std::string& relative, const std::string& text) const {
    create_folder((folder_ / relative).parent_path());
    write_text(folder_ / relative, text);
  }
  /// "sub-01_ses-1_task-rest"
  StoredRun& add_run(const std::string& unit, const std::string& dataset = "slimbrain") {
    const auto name = bids::BidsName::parse(unit + "_bold.nii.gz");
    runs_.push_back({.dataset = dataset,
                     .root = dataset == "other" ? other : out,
                     .name = *name,
                     .store = unit + "_clips.safetensors"});
    return runs_.back();
  }
  GroupJob job() { return {config, runs_, out, log_, ProgressStyle::None, stop_, 1}; }
  const std::vector<StoredRun>& runs() const { return runs_; }

 private:
  std::vector<StoredRun> runs_;
  Log log_{Level::Quiet, false};
  std::atomic<bool> stop_{false};
};

/// A model of a name as far as group stages ask for one; no file of it exists.
inline model::ModelFolder nominal_model(const std::filesystem::path& path, const std::string& name) {
  model::ModelFolder model{.path = path, .config = {}, .card = {}, .weights = {}};
  model.card.name = name;
  return model;
}
inline model::ModelTuning tuning(const std::string& method, const std::string& parent = {}) {
  model::ModelTuning made;
  made.method = method;
  made.parent = parent;
  return made;
}

using slim::test::code_of;

}  // namespace slim::pipelines::test
