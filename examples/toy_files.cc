// SPDX-License-Identifier: Apache-2.0
#include "examples/toy_files.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace slim::toy {

void write_json(const fs::path& path, const ordered_json& content) {
  write_text(path, content.dump(2) + "\n");
}

void write_image(const fs::path& folder, const std::string& name, const image::VoxelGrid& grid,
                 const std::vector<float>& values, image::WriteOptions options) {
  // Noise does not compress: the quickest level makes hardly larger files, four times faster.
  options.gzip_level = 1;
  write_nifti(folder / (name + ".nii.gz"), grid, values, options);
}

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

}  // namespace slim::toy
