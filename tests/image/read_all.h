// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image/nifti_io.h"

namespace slim::test {

/// A whole file through the functions under test.
struct WholeFile {
  image::NiftiHeader header;
  std::vector<float> values;
  std::vector<std::string> warnings;  // of finish()
};

inline WholeFile read_all(const std::filesystem::path& path) {
  const auto source = image::open_frames(path);
  WholeFile whole{.header = source->header(), .values = {}, .warnings = {}};
  const size_t voxels = static_cast<size_t>(whole.header.grid.voxels());
  const size_t volumes = static_cast<size_t>(whole.header.volumes());
  std::vector<std::byte> raw(source->frame_bytes());
  whole.values.resize(voxels * volumes);
  for (size_t t = 0; t < volumes; ++t) {
    source->next(raw);
    image::convert_voxels(whole.header, raw, std::span(whole.values).subspan(t * voxels, voxels));
  }
  whole.warnings = source->finish();
  return whole;
}

}  // namespace slim::test
