// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/zip_writer.h"

#include <limits>
#include <string_view>

#include "core/error.h"
#include "model/checkpoint/zip_reader.h"

namespace slim::model {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kLocalBytes = 30;
constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max() - 1;
constexpr uint16_t kFirstDay = 0x21;  // 1 January 1980, the oldest day that zip knows
constexpr uint16_t kPaddingField = 0x4246;

template <class T>
void append(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out += static_cast<char>((value >> (8 * i)) & 255u);
  }
}

}  // namespace

void ZipWriter::put(std::span<const std::byte> bytes) {
  if (bytes.size() > kMost - at_) {
    throw Error(message::kBadValue, "A .pth file of more than 4 GiB cannot be written.");
  }
  sink_(bytes);
  at_ += bytes.size();
}

void ZipWriter::put(const std::string& bytes) { put(std::as_bytes(std::span(bytes.data(), bytes.size()))); }

void ZipWriter::add(const std::string& record, std::span<const std::byte> data) {
  if (data.size() > kMost - at_) {
    throw Error(message::kBadValue, "A .pth file of more than 4 GiB cannot be written.");
  }
  const Written entry{.record = record,
                      .crc = crc32(data),
                      .size = static_cast<uint32_t>(data.size()),
                      .offset = static_cast<uint32_t>(at_)};
  uint64_t padding = (kAlignment - (at_ + kLocalBytes + record.size()) % kAlignment) % kAlignment;
  if (padding > 0 && padding < 4) {
    padding += kAlignment;  // an extra field has a head of 4 bytes
  }
  std::string head;
  append<uint32_t>(head, 0x04034b50);
  append<uint16_t>(head, 0);  // version needed
  append<uint16_t>(head, 0);  // flags
  append<uint16_t>(head, 0);  // stored
  append<uint16_t>(head, 0);  // time
  append<uint16_t>(head, kFirstDay);
  append<uint32_t>(head, entry.crc);
  append<uint32_t>(head, entry.size);
  append<uint32_t>(head, entry.size);
  append<uint16_t>(head, static_cast<uint16_t>(record.size()));
  append<uint16_t>(head, static_cast<uint16_t>(padding));
  head += record;
  if (padding > 0) {
    append<uint16_t>(head, kPaddingField);
    append<uint16_t>(head, static_cast<uint16_t>(padding - 4));
    head.append(padding - 4, 'Z');
  }
  put(head);
  put(data);
  written_.push_back(entry);
}

void ZipWriter::add(const std::string& record, std::string_view text) {
  add(record, std::as_bytes(std::span(text.data(), text.size())));
}

void ZipWriter::finish() {
  std::string directory;
  for (const Written& entry : written_) {
    append<uint32_t>(directory, 0x02014b50);
    append<uint16_t>(directory, 0);  // version made by
    append<uint16_t>(directory, 0);  // version needed
    append<uint16_t>(directory, 0);  // flags
    append<uint16_t>(directory, 0);  // stored
    append<uint16_t>(directory, 0);  // time
    append<uint16_t>(directory, kFirstDay);
    append<uint32_t>(directory, entry.crc);
    append<uint32_t>(directory, entry.size);
    append<uint32_t>(directory, entry.size);
    append<uint16_t>(directory, static_cast<uint16_t>(entry.record.size()));
    append<uint16_t>(directory, 0);  // extra field
    append<uint16_t>(directory, 0);  // comment
    append<uint16_t>(directory, 0);  // disk
    append<uint16_t>(directory, 0);  // internal attributes
    append<uint32_t>(directory, 0);  // external attributes
    append<uint32_t>(directory, entry.offset);
    directory += entry.record;
  }
  const uint64_t start = at_;
  const size_t size = directory.size();
  append<uint32_t>(directory, 0x06054b50);
  append<uint32_t>(directory, 0);  // disks
  append<uint16_t>(directory, static_cast<uint16_t>(written_.size()));
  append<uint16_t>(directory, static_cast<uint16_t>(written_.size()));
  append<uint32_t>(directory, static_cast<uint32_t>(size));
  append<uint32_t>(directory, static_cast<uint32_t>(start));
  append<uint16_t>(directory, 0);  // comment
  put(directory);
}

}  // namespace slim::model
