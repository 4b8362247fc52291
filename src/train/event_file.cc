// SPDX-License-Identifier: Apache-2.0
#include "train/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <system_error>

#include "core/atomic_file.h"
#include "core/error.h"

static_assert(std::endian::native == std::endian::little);

namespace fs = std::filesystem;

namespace slim::train {
namespace {

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t n = 0; n < 256; ++n) {
    uint32_t crc = n;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82F63B78u : 0u);
    }
    table[n] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

constexpr size_t kHead = sizeof(uint64_t) + sizeof(uint32_t);
constexpr size_t kTail = sizeof(uint32_t);

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T get(std::string_view text, size_t at) {
  T value;
  std::memcpy(&value, text.data() + at, sizeof value);
  return value;
}

// ---- protocol buffers: a field is a key (number x 8 + wire type) and a value

enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<char>((value & 0x7f) | 0x80));
  }
  out.push_back(static_cast<char>(value));
}

void put_key(std::string& out, uint32_t number, Wire wire) { put_varint(out, number << 3 | wire); }

void put_bytes(std::string& out, uint32_t number, std::string_view bytes) {
  put_key(out, number, kBytes);
  put_varint(out, bytes.size());
  out.append(bytes);
}

/// Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
std::string event_head(double wall_time_s, int64_t step) {
  std::string event;
  put_key(event, 1, kFixed64);
  put(event, wall_time_s);
  put_key(event, 2, kVarint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

std::string version_event() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::string event = event_head(std::chrono::duration<double>(now).count(), 0);
  put_bytes(event, 3, "brain.Event:2");
  return event;
}

/// The step of an event of ours: the second field.
std::optional<int64_t> step_of(std::string_view event) {
  constexpr size_t kStepAt = 1 + sizeof(double) + 1;
  if (event.size() <= kStepAt || event[0] != (1 << 3 | kFixed64) ||
      event[kStepAt - 1] != (2 << 3 | kVarint)) {
    return std::nullopt;
  }
  uint64_t step = 0;
  for (size_t i = kStepAt, shift = 0; i < event.size() && shift < 64; ++i, shift += 7) {
    const auto byte = static_cast<unsigned char>(event[i]);
    step |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      return static_cast<int64_t>(step);
    }
  }
  return std::nullopt;
}

/// Bytes of the records, from the front on, that are whole and not after `last_step`. None when the file does
/// not start like ours.
size_t kept_bytes(std::string_view file, int64_t last_step) {
  size_t at = 0;
  while (file.size() - at >= kHead + kTail) {
    const auto length = get<uint64_t>(file, at);
    if (masked_crc32c(bytes_of(file.substr(at, sizeof length))) != get<uint32_t>(file, at + sizeof length) ||
        length > file.size() - at - kHead - kTail) {
      break;
    }
    const std::string_view event = file.substr(at + kHead, length);
    const std::optional<int64_t> step = step_of(event);
    if (masked_crc32c(bytes_of(event)) != get<uint32_t>(file, at + kHead + length) || !step ||
        *step > last_step) {
      break;
    }
    at += kHead + length + kTail;
  }
  return at;
}

[[noreturn]] void fail(const fs::path& path, const char* what, int number) {
  throw Error(number == ENOENT || number == EACCES ? message::kCannotCreate : message::kInputOutput,
              std::string(what) + ": " + std::strerror(number) + ".", {.file = path.string()});
}

}  // namespace

uint32_t crc32c(std::span<const std::byte> bytes) {
  uint32_t crc = ~0u;
  for (const std::byte byte : bytes) {
    crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<uint32_t>(byte)) & 0xffu];
  }
  return ~crc;
}

uint32_t masked_crc32c(std::span<const std::byte> bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

EventFile::EventFile(const fs::path& path, int64_t last_step) : path_(path) {
  std::error_code ignored;
  const std::string old = last_step >= 0 && fs::exists(path, ignored) ? read_text(path) : std::string();
  const size_t kept = kept_bytes(old, last_step);
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    fail(path_, "The event file cannot be opened", errno);
  }
  try {
    if (::ftruncate(fd_, static_cast<off_t>(kept)) != 0) {
      fail(path_, "The event file cannot be cut back", errno);
    }
    if (kept == 0) {
      append(version_event());
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

EventFile::~EventFile() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void EventFile::append(std::string_view event) {
  std::string record;
  put(record, static_cast<uint64_t>(event.size()));
  put(record, masked_crc32c(bytes_of(record)));
  record.append(event);
  put(record, masked_crc32c(bytes_of(event)));
  for (std::string_view left = record; !left.empty();) {
    const ssize_t count = ::write(fd_, left.data(), left.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      fail(path_, "The event file cannot be written", errno);
    }
    left.remove_prefix(static_cast<size_t>(count));
  }
}

void EventFile::add(int64_t step, double wall_time_s, std::span<const Scalar> scalars) {
  // Summary { repeated Value value = 1; }  Value { string tag = 1; float simple_value = 2; }
  std::string summary;
  for (const auto& [tag, number] : scalars) {
    std::string value;
    put_bytes(value, 1, tag);
    put_key(value, 2, kFixed32);
    put(value, static_cast<float>(number));
    put_bytes(summary, 1, value);
  }
  std::string event = event_head(wall_time_s, step);
  put_bytes(event, 5, summary);
  append(event);
}

void EventFile::sync() {
  if (::fsync(fd_) != 0) {
    fail(path_, "The event file cannot be synchronised", errno);
  }
}

}  // namespace slim::train
