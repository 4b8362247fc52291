// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace slim::image {

/// A regular file open for reading. Errors on opening: SB2101 when there is none, SB2102 when git-annex holds
/// its content elsewhere; SB5002 when it cannot be read.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }
  /// Fills `out` from `offset` on; returns fewer bytes only at the end of the file.
  size_t read_at(uint64_t offset, std::span<std::byte> out) const;
  /// Tells the system that the file is read once from front to back.
  void expect_sequential() const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace slim::image
