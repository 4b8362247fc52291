// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

namespace slim::model {

/// CRC-32 (IEEE 802.3, as in zip), of bytes that continue a stream whose value so far is `crc`.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t crc = 0);

/// One stored file of an archive.
struct ZipRecord {
  std::span<const std::byte> data;
  uint32_t crc = 0;  // as announced
};

// Note [Own zip reader]. torch's PyTorchStreamReader would bring torch into the parsers' sanitizer build, and
// its miniz takes compressed records, whose size a hostile file chooses. torch stores its records
// uncompressed, so a reader of stored records is all that is needed: every record is a piece of the file
// itself.
/// The records of a zip file (zip64 too) that lies in memory. Every defect, compression and encryption is
/// Error SB2021.
class ZipArchive {
 public:
  /// Whether the bytes begin as a zip file does.
  static bool looks_like_one(std::span<const std::byte> bytes);
  /// Reads the directory; `bytes` must outlive the archive, `name` stands in errors.
  static ZipArchive parse(std::span<const std::byte> bytes, const std::filesystem::path& name);

  const std::map<std::string, ZipRecord>& records() const { return records_; }
  /// nullptr when there is none of that name.
  const ZipRecord* find(const std::string& record) const;
  /// Error SB2021 when a record's bytes do not have the announced CRC-32.
  void verify_checksums() const;

 private:
  std::filesystem::path name_;
  std::map<std::string, ZipRecord> records_;
};

}  // namespace slim::model
