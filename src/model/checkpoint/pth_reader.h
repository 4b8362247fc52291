// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "model/checkpoint/pickle_reader.h"

namespace slim::model {

/// A tensor of a .pth file: a strided view of a piece of the file. Nothing is copied until contiguous() is
/// called.
struct StoredTensor {
  TensorSpec spec;
  std::vector<int64_t> strides;        // in elements
  std::span<const std::byte> storage;  // all of the storage
  int64_t offset = 0;                  // in elements
  std::string source_dtype;            // as torch names it, "bfloat16"

  /// The elements in row-major order, in the file's type.
  std::vector<std::byte> contiguous() const;
};

/// A PyTorch checkpoint opened for reading: zip files (torch >= 1.6) and the older stream of pickles.
class PthFile {
 public:
  /// Maps the file and reads its structure. Errors SB2101, SB5002; SB2021 for everything that is wrong
  /// inside.
  static PthFile open(const std::filesystem::path& path);
  /// The same for bytes that outlive the result.
  static PthFile parse(std::span<const std::byte> bytes, const std::filesystem::path& name);

  const std::filesystem::path& path() const { return path_; }
  /// "zip" or "legacy".
  const std::string& container() const { return container_; }
  /// Keys of the outermost dict, in its order; "(no dict)" entries do not exist.
  const std::vector<std::string>& top_keys() const { return top_keys_; }
  /// The key whose dict was taken: model_state_dict, state_dict, model; empty = the outermost dict itself.
  const std::string& state_key() const { return state_key_; }
  /// Tensors of the state dict; nested dicts give names joined by dots. In the file's order.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// Names of objects that were not understood, each once: what a full Python would have imported.
  const std::vector<std::string>& opaque_names() const { return opaque_names_; }
  /// `epoch` of the outermost dict, when it is a whole number.
  std::optional<int64_t> epoch() const { return epoch_; }
  /// False when slimbrain wrote the file from an untrained model.
  bool says_untrained() const { return says_untrained_; }

 private:
  friend class PthBuilder;
  std::filesystem::path path_;
  std::string container_, state_key_;
  std::vector<std::string> top_keys_, opaque_names_;
  std::vector<StoredTensor> tensors_;
  std::optional<int64_t> epoch_;
  bool says_untrained_ = false;
  std::shared_ptr<const void> mapping_;
};

}  // namespace slim::model
