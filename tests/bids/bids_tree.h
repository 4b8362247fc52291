// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/atomic_file.h"

namespace slim::test {

/// Writes a file below a folder, with its parents.
inline void put(const std::filesystem::path& root, const std::string& path, const std::string& text = "x") {
  create_folder((root / path).parent_path());
  write_text(root / path, text);
}

/// A dataset_description.json of a derivative made by `generator`.
inline void describe(const std::filesystem::path& root, const std::string& generator,
                     const std::string& type = "derivative") {
  put(root, "dataset_description.json",
      "{\"Name\": \"made for a test\", \"BIDSVersion\": \"1.9.0\", \"DatasetType\": \"" + type + "\"" +
          (generator.empty() ? ""
                             : ", \"GeneratedBy\": [{\"Name\": \"" + generator + "\", \"Version\": \"1\"}]") +
          "}");
}

inline void put_all(const std::filesystem::path& root, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    put(root, path);
  }
}

}  // namespace slim::test
