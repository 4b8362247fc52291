// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "core/error.h"

namespace slim {

/// A whole file, mapped for reading; copies share the mapping, which ends with the last of them.
class MappedFile {
 public:
  /// Error SB2101 when it does not exist, SB5002 when it cannot be mapped, `irregular` when it is no regular
  /// file.
  static MappedFile open(const std::filesystem::path& path, const Message& irregular);

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> mapping_;
};

}  // namespace slim
