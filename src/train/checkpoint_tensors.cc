// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint_tensors.h"

#include <ATen/ops/from_blob.h>

#include <span>
#include <vector>

#include "core/error.h"
#include "core/safetensors.h"

namespace fs = std::filesystem;

namespace slim::train {

void write_tensors(const fs::path& path, const model::Parameters& tensors) {
  std::vector<TensorSpec> specs;
  for (const auto& [key, tensor] : tensors) {
    specs.push_back({.name = key, .dtype = DType::F32, .shape = tensor.sizes().vec()});
  }
  SafetensorsWriter writer(path, specs, {{"slimbrain_training", "1"}});
  for (const auto& [key, tensor] : tensors) {
    const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
    writer.append(
        std::as_bytes(std::span(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()))));
  }
  writer.finish();
}

void read_tensors(const fs::path& path, const model::Parameters& into) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const auto& [key, tensor] : into) {
    const TensorSpec* spec = file.find(key);
    if (spec == nullptr || spec->dtype != DType::F32 || at::IntArrayRef(spec->shape) != tensor.sizes()) {
      throw Error(message::kBadCheckpoint, "The checkpoint lacks a tensor or holds one of another shape.",
                  {.file = path.string(), .found = key});
    }
    // The mapping is read-only, and so is what is made of it here.
    tensor.detach().copy_(
        at::from_blob(const_cast<std::byte*>(file.data(*spec).data()), spec->shape, at::kFloat));
  }
}

}  // namespace slim::train
