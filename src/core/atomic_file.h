// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace slim {

/// A random version-4 UUID as text.
std::string make_uuid();

/// A whole file as text. Error SB2101 when it does not exist, SB5002 when it cannot be read.
std::string read_text(const std::filesystem::path& path);

/// A file being written once, front to back; every failure is an Error (SB5001 on opening, SB5002 later).
/// Never mmap.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Flushes to the disk and closes; without it the content is not promised.
  void finish();

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

/// Writes a small text file (not atomically: meant for use inside write_atomically).
void write_text(const std::filesystem::path& path, std::string_view text);

/// Runs `write` on a temporary name in the target's folder, then publishes it: the target appears whole or
/// not at all. The temporary name ends in the target's name, so that writers see its extension.
void write_atomically(const std::filesystem::path& target,
                      const std::function<void(const std::filesystem::path&)>& write);

/// Writes text atomically unless the file already holds exactly that; returns whether it wrote.
bool write_text_if_different(const std::filesystem::path& target, std::string_view text);

/// Creates a folder and its parents. Error SB5001 when that fails.
void create_folder(const std::filesystem::path& folder);

/// Prefix of temporary names; such files are leftovers of a killed program and may be removed.
inline constexpr std::string_view kPartialPrefix = ".partial-";
/// Removes such leftovers from a folder that only this process writes to.
void remove_partials(const std::filesystem::path& folder);

}  // namespace slim
