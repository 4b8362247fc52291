// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "bids/tsv.h"
#include "tests/cli/toy.h"

namespace slim::test {

/// Embeddings of 12 participants with two sessions each (made once a process) by the toy model.
inline const ToyStudy& prepared() {
  static const ToyStudy all(
      {"--subjects", "12", "--sessions", "2", "--frames", "40", "--tr", "0.72", "--form", "mni"},
      {"--model", toy_model()});
  return all;
}

class Evaluate : public ::testing::Test {
 protected:
  // Beside the cohort, since links between datasets are relative; large files are only linked.
  void SetUp() override {
    std::filesystem::create_directories(out_);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(prepared().out)) {
      const std::filesystem::path to = out_ / entry.path().lexically_relative(prepared().out);
      const std::string kind = entry.path().extension().string();
      if (entry.is_directory()) {
        std::filesystem::create_directories(to);
      } else if (kind == ".safetensors" || kind == ".gz") {
        std::filesystem::create_hard_link(entry.path(), to);
      } else {
        std::filesystem::copy_file(entry.path(), to);
      }
    }
  }
  void TearDown() override { std::filesystem::remove_all(out_); }
  ProgramResult evaluate(const std::filesystem::path& model, const std::vector<std::string>& extra) {
    return slimbrain(joined({"-", out_, "group", "--stages", "evaluate", "--model", model}, extra));
  }
  std::filesystem::path embedding(const std::string& subject, const std::string& session) const {
    return out_ / subject / session / "func" /
           (subject + "_" + session + "_task-rest_space-MNI152NLin6Asym_res-slim_desc-tiny_embedding.tsv");
  }
  std::map<std::string, std::string> cells(const std::string& table, const std::string& metric) const {
    std::map<std::string, std::string> values;  // by method, in group "all"
    const bids::Table rows = bids::read_tsv(out_ / table);
    for (size_t r = 0; r < rows.rows.size(); ++r) {
      if (*rows.cell(r, "metric") == metric && *rows.cell(r, "group") == "all") {
        values[*rows.cell(r, "method")] = *rows.cell(r, "value");
      }
    }
    return values;
  }
  std::filesystem::path out_ = prepared().folder / "copy";
};

}  // namespace slim::test
