// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace slim::train {

/// A tag and its value.
using Scalar = std::pair<std::string, double>;

/// CRC-32C (Castagnoli) of bytes, and as record files keep it: rotated and offset.
uint32_t crc32c(std::span<const std::byte> bytes);
uint32_t masked_crc32c(std::span<const std::byte> bytes);

// Note [Event file]. A record is u64 length, masked CRC-32C of the length, an Event message, masked CRC-32C
// of the message. Events are appended with one write each, so a killed program leaves whole records and at
// most one torn one at the end. Opening again cuts the file behind the last whole record whose step is kept,
// so one file tells one history.
/// A file of scalars that TensorBoard reads (Note [Event file]).
class EventFile {
 public:
  /// Opens or creates a file whose name must hold "tfevents"; events after `last_step` are cut off, so -1
  /// starts anew. Errors SB5001 and SB5002.
  EventFile(const std::filesystem::path& path, int64_t last_step);
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;
  ~EventFile();

  /// Appends the scalars of a step, kept as float32. `wall_time_s` counts from 1970. Error SB5002.
  void add(int64_t step, double wall_time_s, std::span<const Scalar> scalars);
  /// Waits for the disk. Error SB5002.
  void sync();

 private:
  void append(std::string_view event);

  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace slim::train
