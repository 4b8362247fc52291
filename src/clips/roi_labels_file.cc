// SPDX-License-Identifier: Apache-2.0
#include "clips/roi_labels_file.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/safetensors.h"

namespace fs = std::filesystem;

namespace slim::clips {
namespace {

constexpr const char* kName = "slimbrain_atlas";

template <class Number>
TensorSpec spec_of(const char* name, const std::vector<Number>& values) {
  return {.name = name,
          .dtype = sizeof(Number) == 4 ? DType::I32 : DType::I64,
          .shape = {static_cast<int64_t>(values.size())}};
}

template <class Number>
void read_into(const SafetensorsFile& file, const char* name, std::vector<Number>& values) {
  const TensorSpec* found = file.find(name);
  const TensorSpec wanted = spec_of(name, values);
  if (found == nullptr || found->dtype != wanted.dtype || found->shape.size() != 1) {
    throw Error(message::kBadStore, std::string("A file of regions lacks its ") + name + ".",
                {.file = file.path().string()});
  }
  values.resize(static_cast<size_t>(found->count()));
  const std::span<const std::byte> bytes = file.data(*found);
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(values)).begin());
}

}  // namespace

void write_roi_labels(const fs::path& path, const RoiLabels& labels) {
  SafetensorsWriter writer(
      path,
      {spec_of("labels", labels.labels), spec_of("row_of_value", labels.row_of_value),
       spec_of("image_voxels", labels.image_voxels), spec_of("stored_voxels", labels.stored_voxels)},
      {{kName, labels.name}});
  writer.append(std::as_bytes(std::span(labels.labels)));
  writer.append(std::as_bytes(std::span(labels.row_of_value)));
  writer.append(std::as_bytes(std::span(labels.image_voxels)));
  writer.append(std::as_bytes(std::span(labels.stored_voxels)));
  writer.finish();
}

RoiLabels read_roi_labels(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto name = file.metadata().find(kName);
  RoiLabels labels{.name = name == file.metadata().end() ? std::string() : name->second};
  read_into(file, "labels", labels.labels);
  read_into(file, "row_of_value", labels.row_of_value);
  read_into(file, "image_voxels", labels.image_voxels);
  read_into(file, "stored_voxels", labels.stored_voxels);
  const auto rows = static_cast<int32_t>(labels.labels.size());
  const bool sound = rows > 0 && labels.image_voxels.size() == labels.labels.size() &&
                     labels.stored_voxels.size() == labels.labels.size() &&
                     std::is_sorted(labels.labels.begin(), labels.labels.end()) &&
                     std::all_of(labels.row_of_value.begin(), labels.row_of_value.end(),
                                 [&](int32_t row) { return row >= -1 && row < rows; });
  if (!sound || labels.name.empty()) {
    throw Error(message::kBadStore, "A file of regions contradicts itself.", {.file = path.string()});
  }
  labels.sha256 = hash_of(labels);
  return labels;
}

}  // namespace slim::clips
