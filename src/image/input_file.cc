// SPDX-License-Identifier: Apache-2.0
#include "image/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "core/error.h"

namespace fs = std::filesystem;

namespace slim::image {
namespace {

// git-annex keeps content under .git/annex/objects; a file whose content is elsewhere is a link into it that
// leads nowhere, or (unlocked, or on file systems without links) a small text file that names the object.
constexpr std::string_view kAnnexMark = "annex/objects/";
constexpr size_t kPointerBytes = 32768;

[[noreturn]] void fail_annexed(const fs::path& path) {
  throw Error(message::kAnnexed, "The content of this file is not here: git-annex holds it elsewhere.",
              {.file = path.string(), .remedy = "datalad get " + path.string()});
}

[[noreturn]] void fail_absent(const fs::path& path, int error_number) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  if (!error && target.string().find(kAnnexMark) != std::string::npos) {
    fail_annexed(path);
  }
  const std::string sentence =
      error ? "The file cannot be opened: " + std::string(std::strerror(error_number)) + "."
            : "The link leads to " + target.string() + ", which does not exist.";
  throw Error(message::kMissingPath, sentence, {.file = path.string()});
}

[[noreturn]] void fail_read(const fs::path& path, int error_number) {
  throw Error(message::kInputOutput,
              "The file cannot be read: " + std::string(std::strerror(error_number)) + ".",
              {.file = path.string()});
}

bool is_pointer(std::string_view text) {
  const size_t mark = text.find(kAnnexMark);
  // A pointer is one line of text; an image that happens to hold these letters has other bytes before them.
  return mark != std::string_view::npos &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(mark),
                     [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

}  // namespace

InputFile::InputFile(const fs::path& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (fd_ < 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
      fail_absent(path_, errno);
    }
    fail_read(path_, errno);
  }
  try {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) {
      fail_read(path_, errno);
    }
    if (!S_ISREG(status.st_mode)) {
      throw Error(message::kMissingPath, "This is not a file.", {.file = path_.string()});
    }
    size_ = static_cast<uint64_t>(status.st_size);
    if (size_ < kPointerBytes) {
      std::array<char, 4096> start{};
      const size_t count = read_at(0, std::as_writable_bytes(std::span(start)));
      if (is_pointer({start.data(), count})) {
        fail_annexed(path_);
      }
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

InputFile::~InputFile() { ::close(fd_); }

size_t InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      fail_read(path_, errno);
    }
    if (count == 0) {
      break;
    }
    done += static_cast<size_t>(count);
  }
  return done;
}

void InputFile::expect_sequential() const {
  // Advice only: a file system that ignores it loses speed, not data.
  (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
}

}  // namespace slim::image
