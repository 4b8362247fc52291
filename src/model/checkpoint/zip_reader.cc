// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/zip_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "core/error.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50, kEntrySignature = 0x02014b50, kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50, kLocatorSignature = 0x07064b50;
constexpr uint64_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr uint64_t kMaxComment = 65535;
constexpr uint64_t kMaxRecords = 1'000'000;
constexpr uint32_t kIn64 = 0xFFFFFFFFu;  // the number stands in the zip64 field instead

using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

constexpr CrcTables make_crc_tables() {
  CrcTables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value >> 1) ^ ((value & 1u) != 0 ? 0xEDB88320u : 0u);
    }
    tables[0][i] = value;
  }
  for (size_t slice = 1; slice < 8; ++slice) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t before = tables[slice - 1][i];
      tables[slice][i] = (before >> 8) ^ tables[0][before & 255u];
    }
  }
  return tables;
}
constexpr CrcTables kCrc = make_crc_tables();

/// Little-endian numbers of a file, with checked bounds.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const fs::path& name) : bytes_(bytes), name_(name) {}

  uint64_t size() const { return bytes_.size(); }
  std::span<const std::byte> piece(uint64_t offset, uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
      fail("a record lies outside the file; the file is damaged or truncated.");
    }
    return bytes_.subspan(offset, size);
  }
  Bytes part(uint64_t offset, uint64_t size) const { return Bytes(piece(offset, size), name_); }
  template <class T>
  T number(uint64_t offset) const {
    T value;
    std::memcpy(&value, piece(offset, sizeof(T)).data(), sizeof(T));
    return value;
  }
  [[noreturn]] void fail(std::string sentence, std::string found = {}) const {
    throw Error(message::kBadCheckpoint, "The zip archive cannot be read: " + std::move(sentence),
                {.file = name_.string(), .found = std::move(found)});
  }

 private:
  std::span<const std::byte> bytes_;
  const fs::path& name_;
};

struct Directory {
  uint64_t offset = 0, size = 0, count = 0;
};

uint64_t find_end(const Bytes& file) {
  if (file.size() < kEndBytes) {
    file.fail("it is too short.");
  }
  const uint64_t last = file.size() - kEndBytes;
  const uint64_t first = last > kMaxComment ? last - kMaxComment : 0;
  for (uint64_t at = last + 1; at-- > first;) {
    if (file.number<uint32_t>(at) == kEndSignature && file.number<uint16_t>(at + 20) == last - at) {
      return at;
    }
  }
  file.fail("its directory is missing; the file is damaged or truncated.");
}

Directory find_directory(const Bytes& file) {
  const uint64_t end = find_end(file);
  Directory directory{.offset = file.number<uint32_t>(end + 16),
                      .size = file.number<uint32_t>(end + 12),
                      .count = file.number<uint16_t>(end + 10)};
  if (end >= kLocatorBytes && file.number<uint32_t>(end - kLocatorBytes) == kLocatorSignature) {
    const uint64_t at = file.number<uint64_t>(end - kLocatorBytes + 8);
    const Bytes end64 = file.part(at, kEnd64Bytes);
    if (end64.number<uint32_t>(0) != kEnd64Signature) {
      file.fail("its zip64 directory is missing.");
    }
    directory = {.offset = end64.number<uint64_t>(48),
                 .size = end64.number<uint64_t>(40),
                 .count = end64.number<uint64_t>(32)};
  }
  file.piece(directory.offset, directory.size);
  if (directory.count > kMaxRecords || directory.count > directory.size / kEntryBytes) {
    file.fail("it announces an impossible number of records.", std::to_string(directory.count));
  }
  return directory;
}

struct Entry {
  uint64_t stored = 0, original = 0, local = 0;
};

/// Replaces the numbers that stand in the zip64 field, in the order the format prescribes.
void read_zip64(const Bytes& file, const Bytes& extra, Entry& entry) {
  for (uint64_t at = 0; at + 4 <= extra.size();) {
    const auto kind = extra.number<uint16_t>(at);
    const uint64_t size = extra.number<uint16_t>(at + 2);
    extra.piece(at + 4, size);
    if (kind == 1) {
      uint64_t next = at + 4;
      for (uint64_t* value : {&entry.original, &entry.stored, &entry.local}) {
        if (*value == kIn64) {
          if (next + 8 > at + 4 + size) {
            file.fail("a zip64 field is too short.");
          }
          *value = extra.number<uint64_t>(next);
          next += 8;
        }
      }
      return;
    }
    at += 4 + size;
  }
}

}  // namespace

uint32_t crc32(std::span<const std::byte> bytes, uint32_t crc) {
  crc = ~crc;
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint32_t low, high;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + 4, 4);
    low ^= crc;
    crc = kCrc[7][low & 255u] ^ kCrc[6][(low >> 8) & 255u] ^ kCrc[5][(low >> 16) & 255u] ^
          kCrc[4][low >> 24] ^ kCrc[3][high & 255u] ^ kCrc[2][(high >> 8) & 255u] ^
          kCrc[1][(high >> 16) & 255u] ^ kCrc[0][high >> 24];
  }
  for (; left > 0; --left, ++at) {
    crc = (crc >> 8) ^ kCrc[0][(crc ^ static_cast<uint32_t>(*at)) & 255u];
  }
  return ~crc;
}

bool ZipArchive::looks_like_one(std::span<const std::byte> bytes) {
  constexpr std::array kMagic{std::byte{'P'}, std::byte{'K'}, std::byte{3}, std::byte{4}};
  return bytes.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), bytes.begin());
}

ZipArchive ZipArchive::parse(std::span<const std::byte> bytes, const fs::path& name) {
  const Bytes file(bytes, name);
  const Directory directory = find_directory(file);
  const Bytes entries = file.part(directory.offset, directory.size);
  ZipArchive archive;
  archive.name_ = name;
  uint64_t at = 0;
  for (uint64_t i = 0; i < directory.count; ++i) {
    if (entries.number<uint32_t>(at) != kEntrySignature) {
      file.fail("its directory is damaged.");
    }
    const auto flags = entries.number<uint16_t>(at + 8);
    const auto method = entries.number<uint16_t>(at + 10);
    const auto crc = entries.number<uint32_t>(at + 16);
    const uint64_t name_bytes = entries.number<uint16_t>(at + 28);
    const uint64_t extra_bytes = entries.number<uint16_t>(at + 30);
    const uint64_t comment_bytes = entries.number<uint16_t>(at + 32);
    Entry entry{.stored = entries.number<uint32_t>(at + 20),
                .original = entries.number<uint32_t>(at + 24),
                .local = entries.number<uint32_t>(at + 42)};
    const auto label = entries.piece(at + kEntryBytes, name_bytes);
    const std::string record(reinterpret_cast<const char*>(label.data()), label.size());
    read_zip64(file, entries.part(at + kEntryBytes + name_bytes, extra_bytes), entry);
    entries.piece(at + kEntryBytes + name_bytes + extra_bytes, comment_bytes);
    at += kEntryBytes + name_bytes + extra_bytes + comment_bytes;

    if (method != 0 || entry.stored != entry.original || (flags & 1u) != 0) {
      file.fail("a record is compressed or encrypted, which torch never does.", record);
    }
    const Bytes local = file.part(entry.local, kLocalBytes);
    if (local.number<uint32_t>(0) != kLocalSignature) {
      file.fail("a record's header is damaged.", record);
    }
    // The local header's extra field may be longer than the directory's: torch pads there to align the data.
    const uint64_t data = entry.local + kLocalBytes + local.number<uint16_t>(26) + local.number<uint16_t>(28);
    if (!archive.records_.try_emplace(record, ZipRecord{.data = file.piece(data, entry.stored), .crc = crc})
             .second) {
      file.fail("two records have the same name.", record);
    }
  }
  return archive;
}

const ZipRecord* ZipArchive::find(const std::string& record) const {
  const auto found = records_.find(record);
  return found == records_.end() ? nullptr : &found->second;
}

void ZipArchive::verify_checksums() const {
  for (const auto& [record, content] : records_) {
    if (crc32(content.data) != content.crc) {
      throw Error(
          message::kBadCheckpoint, "A record of the archive does not have its checksum: the file is damaged.",
          {.file = name_.string(),
           .found = record,
           .remedy = "copy the file again; if it was saved with set_crc32_options(False), save it without"});
    }
  }
}

}  // namespace slim::model
