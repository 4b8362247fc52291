// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/safetensors.h"

namespace slim::model {

/// A tensor to be written; data holds spec.bytes() bytes, row-major. Type F32.
struct PthTensor {
  TensorSpec spec;
  std::span<const std::byte> data;
};

/// What stands beside the weights.
struct PthNotes {
  int64_t epoch = 0;
  /// Adds {"slimbrain": {"trained": False}}, so that an untrained model stays known as one.
  bool trained = true;
};

/// The pickle of {epoch, model_state_dict}: protocol 2, and only names that torch.load(weights_only=True)
/// admits.
std::string checkpoint_pickle(const std::vector<PthTensor>& tensors, const PthNotes& notes);

/// Writes a checkpoint that Python's torch.load reads with its defaults. Not atomic: use inside
/// write_atomically.
void write_pth(const std::filesystem::path& path, const std::vector<PthTensor>& tensors,
               const PthNotes& notes);

}  // namespace slim::model
