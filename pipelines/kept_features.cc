// SPDX-License-Identifier: Apache-2.0
#include "pipelines/kept_features.h"

#include <algorithm>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/safetensors.h"
#include "core/sha256.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

TensorSpec spec_of(size_t clips, int64_t width) {
  return {.name = "features", .dtype = DType::F32, .shape = {static_cast<int64_t>(clips), width}};
}

}  // namespace

KeptFeatures::KeptFeatures(fs::path folder, int64_t width) : folder_(std::move(folder)), width_(width) {
  create_folder(folder_);
  remove_partials(folder_);
}

fs::path KeptFeatures::file_of(const std::string& key) const {
  return folder_ / (sha256_hex(key) + ".safetensors");
}

std::optional<FeatureRows> KeptFeatures::find(const std::string& key, size_t clips) const {
  const fs::path path = file_of(key);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return std::nullopt;
  }
  const SafetensorsFile file = SafetensorsFile::open(path);
  const TensorSpec wanted = spec_of(clips, width_);
  const TensorSpec* const found = file.find(wanted.name);
  if (found == nullptr || found->dtype != wanted.dtype || found->shape != wanted.shape) {
    throw Error(message::kBadStore, "This file holds other features than it was made for.",
                {.file = path.string(), .remedy = "delete it"});
  }
  FeatureRows rows(clips, std::vector<float>(static_cast<size_t>(width_)));
  std::span<const std::byte> bytes = file.data(*found);
  for (std::vector<float>& row : rows) {
    const std::span<std::byte> own = std::as_writable_bytes(std::span(row));
    std::copy_n(bytes.begin(), own.size(), own.begin());
    bytes = bytes.subspan(own.size());
  }
  return rows;
}

void KeptFeatures::keep(const std::string& key, const FeatureRows& rows) const {
  write_atomically(file_of(key), [&](const fs::path& partial) {
    SafetensorsWriter writer(partial, {spec_of(rows.size(), width_)}, {});
    for (const std::vector<float>& row : rows) {
      writer.append(std::as_bytes(std::span(row)));
    }
    writer.finish();
  });
}

}  // namespace slim::pipelines
