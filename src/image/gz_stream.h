// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "image/input_file.h"

namespace slim::image {

/// Inflates a gzip file from front to back, all its members as one stream, each member's checksum and length
/// verified.
class GzStream {
 public:
  /// The file must outlive the stream. block_bytes are read from it at a time.
  GzStream(const InputFile& file, size_t block_bytes);
  ~GzStream();

  /// Fills `out`; returns fewer bytes only at the end of the stream. Error SB2006 when the data is damaged.
  size_t read(std::span<std::byte> out);
  /// Reads and drops bytes; returns fewer than `count` only at the end of the stream.
  uint64_t skip(uint64_t count);
  /// Reads to the end. Error SB2006 when the data is damaged or cut. Returns how many bytes were left, and
  /// whether one of them was not 0.
  struct Rest {
    uint64_t bytes = 0;
    bool has_content = false;
  };
  Rest drain();

  /// Bytes that came out so far.
  uint64_t position() const { return position_; }
  /// Whether the file ended inside a member; then its checksum was not verified.
  bool was_cut() const { return was_cut_; }
  /// Bytes after the end that are neither another member nor zeros.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  struct Inflater;
  bool refill();
  bool next_member();
  [[noreturn]] void fail(int code) const;

  const InputFile& file_;
  std::vector<std::byte> block_;
  std::unique_ptr<Inflater> inflater_;
  uint64_t file_position_ = 0;  // of the next byte to read from the file
  uint64_t position_ = 0;
  bool ended_ = false;
  bool was_cut_ = false;
  std::vector<std::string> warnings_;
};

/// Whether a file starts as gzip does.
bool is_gzip(const InputFile& file);

}  // namespace slim::image
