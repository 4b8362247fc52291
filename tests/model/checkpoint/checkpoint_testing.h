// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/safetensors.h"
#include "model/checkpoint/zip_writer.h"
#include "tests/support/run_program.h"

namespace slim::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// The Error that `run` throws, as "SB2021: ..." with its details; "nothing was thrown" otherwise.
inline std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// A zip file in memory as torch lays it out: a pickle and its storages.
inline std::string torch_zip(const std::string& pickle,
                             const std::vector<std::pair<std::string, std::string>>& storages) {
  std::string out;
  model::ZipWriter zip([&](std::span<const std::byte> bytes) {
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  zip.add("archive/data.pkl", std::string_view(pickle));
  for (const auto& [key, data] : storages) {
    zip.add("archive/data/" + key, std::string_view(data));
  }
  zip.add("archive/version", std::string_view("3\n"));
  zip.finish();
  return out;
}

/// The elements of a float32 tensor of a file.
inline std::vector<float> floats(const SafetensorsFile& file, const std::string& name) {
  const auto data = file.data(*file.find(name));
  std::vector<float> values(data.size() / sizeof(float));
  std::memcpy(values.data(), data.data(), data.size());
  return values;
}

}  // namespace slim::test
