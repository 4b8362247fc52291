// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "image/nifti_io.h"

namespace slim::toy {

/// A number as tables and file names spell it: up to nine digits.
std::string number(double value);

/// A TSV that grows line by line.
class Table {
 public:
  void cell(std::string_view text) {
    text_ += separator_;
    text_ += text;
    separator_ = "\t";
  }
  void cell(double value) { cell(number(value)); }
  void end_line() {
    text_ += "\n";
    separator_ = "";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string_view separator_;
};

/// Writes JSON with an indent of two.
void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& content);

/// Writes an image as NAME.nii.gz.
void write_image(const std::filesystem::path& folder, const std::string& name, const image::VoxelGrid& grid,
                 const std::vector<float>& values, image::WriteOptions options);

}  // namespace slim::toy
