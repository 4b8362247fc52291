// SPDX-License-Identifier: Apache-2.0
#include "bids/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace slim::bids {
namespace {

/// A file descriptor that closes itself.
struct Descriptor {
  int number;
  explicit Descriptor(int opened) : number(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

[[noreturn]] void fail(const std::filesystem::path& path, int cause) {
  throw Error(message::kInputOutput,
              path.filename().string() + " cannot be read: " + std::generic_category().message(cause) + ".",
              {.file = path.string()});
}

[[noreturn]] void fail_annexed(const std::filesystem::path& path) {
  throw Error(message::kAnnexed,
              "The content of this annexed file is not here: datalad get " + path.string() + ".",
              {.file = path.string(), .remedy = "datalad get " + path.string()});
}

[[noreturn]] void fail_open(const std::filesystem::path& path, int cause) {
  if (cause != ENOENT && cause != ENOTDIR) fail(path, cause);
  std::error_code ignored;
  const std::filesystem::path target = std::filesystem::read_symlink(path, ignored);
  if (is_annex_link(target.native())) fail_annexed(path);
  throw Error(message::kMissingPath, path.filename().string() + " does not exist.", {.file = path.string()});
}

}  // namespace

bool is_annex_pointer(std::string_view content) {
  if (content.size() > kLargestPointer || !content.starts_with('/')) return false;
  const std::string_view line = content.substr(0, content.find('\n'));
  const size_t place = line.find("annex/objects/");
  return place != std::string_view::npos && line[place - 1] == '/' && line.size() > place + 14;
}

bool is_annex_link(std::string_view target) {
  return target.find("annex/objects/") != std::string_view::npos;
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t place) { return static_cast<unsigned char>(text[place]); };
    const unsigned lead = byte(i);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xC2 && lead < 0xE0 ? 2
                          : lead >= 0xE0 && lead < 0xF0 ? 3
                          : lead >= 0xF0 && lead < 0xF5 ? 4
                                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xC0U) != 0x80U) return false;
    }
    // Overlong forms, surrogates and code points beyond U+10FFFF.
    if (length > 2) {
      const unsigned second = byte(i + 1);
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return false;
      if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return false;
    }
    i += length;
  }
  return true;
}

std::string printable(std::string_view label) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string result;
  for (const char c : label) {
    const auto code = static_cast<unsigned char>(c);
    if (code >= 0x20 && code < 0x7F) {
      result += c;
    } else {
      result += {'\\', 'x', kHex[code >> 4U], kHex[code & 15U]};
    }
  }
  return result;
}

std::string read_dataset_text(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number < 0) fail_open(path, errno);
  std::string content;
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t got = ::read(file.number, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, errno);
    if (got == 0) break;
    content.append(buffer.data(), static_cast<size_t>(got));
  }
  if (is_annex_pointer(content)) fail_annexed(path);
  return content;
}

}  // namespace slim::bids
