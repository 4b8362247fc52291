// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "image/nifti_io.h"
#include "tests/image/nifti_bytes.h"
#include "tests/support/run_program.h"

namespace slim::test {

/// Files and what was read from them, collected for judge_nibabel.py.
class NibabelJudge {
 public:
  void add(const std::filesystem::path& file, const image::NiftiHeader& header,
           const std::vector<float>& values, const nlohmann::json& expect_written = nullptr) {
    const std::filesystem::path dump = folder_ / (std::to_string(entries_.size()) + ".f32");
    write_file(dump, std::as_bytes(std::span(values)));
    nlohmann::json entry{
        {"file", file.string()}, {"dump", dump.string()}, {"dims", header.dims}, {"affine", nullptr}};
    if (header.has_orientation) {
      entry["affine"] = header.grid.scanner_from_voxel;
    }
    if (!expect_written.is_null()) {
      entry["expect_written"] = expect_written;
    }
    entries_.push_back(std::move(entry));
  }
  /// What the judge printed after "0 differences"; its complaints otherwise.
  ProgramResult verdict(const std::filesystem::path& python) const {
    const std::string text = entries_.dump();
    write_file(folder_ / "list.json", std::as_bytes(std::span(text)));
    return run_program(python, {std::string(SLIM_SOURCE_DIR) + "/tests/image/judge_nibabel.py",
                                (folder_ / "list.json").string()});
  }

 private:
  TempFolder folder_;
  nlohmann::json entries_ = nlohmann::json::array();
};

}  // namespace slim::test
