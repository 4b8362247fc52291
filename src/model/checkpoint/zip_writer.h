// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace slim::model {

/// Writes a zip file of stored records, front to back, each record's data at a multiple of 64 bytes as torch
/// does. Error SB1002 where the file would pass 4 GiB. Equal records give equal bytes: no times, no names of
/// makers.
class ZipWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;
  explicit ZipWriter(Sink sink) : sink_(std::move(sink)) {}

  void add(const std::string& record, std::span<const std::byte> data);
  void add(const std::string& record, std::string_view text);
  /// Writes the directory.
  void finish();

 private:
  struct Written {
    std::string record;
    uint32_t crc = 0, size = 0, offset = 0;
  };
  void put(std::span<const std::byte> bytes);
  void put(const std::string& bytes);

  Sink sink_;
  uint64_t at_ = 0;
  std::vector<Written> written_;
};

}  // namespace slim::model
