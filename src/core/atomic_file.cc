// SPDX-License-Identifier: Apache-2.0
#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <random>

#include "core/error.h"

namespace fs = std::filesystem;

namespace slim {
namespace {

[[noreturn]] void fail(const Message& message, const fs::path& path, const char* what, int error_number) {
  std::string remedy;
  if (error_number == ENOSPC || error_number == EDQUOT) {
    remedy = "free some space or inodes there, then run the same call again";
  } else if (error_number == EROFS || error_number == EACCES) {
    remedy = "choose a folder that this user may write to";
  }
  throw Error(message, std::string(what) + ": " + std::strerror(error_number) + ".",
              {.file = path.string(), .remedy = std::move(remedy)});
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    fail(message::kInputOutput, folder, "The folder cannot be opened", errno);
  }
  const int result = ::fsync(fd);
  const int error_number = errno;
  ::close(fd);
  // Some network file systems refuse fsync on a folder; the rename itself is still atomic there.
  if (result != 0 && error_number != EINVAL) {
    fail(message::kInputOutput, folder, "The folder cannot be synchronised", error_number);
  }
}

}  // namespace

std::string make_uuid() {
  std::random_device source;
  std::array<uint32_t, 4> words{source(), source(), source(), source()};
  words[1] = (words[1] & 0xFFFF0FFFu) | 0x00004000u;
  words[2] = (words[2] & 0x3FFFFFFFu) | 0x80000000u;
  char text[37];
  std::snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%04x%08x", words[0], words[1] >> 16,
                words[1] & 0xFFFFu, words[2] >> 16, words[2] & 0xFFFFu, words[3]);
  return text;
}

std::string read_text(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error_number = errno;
    const bool absent = error_number == ENOENT || error_number == ENOTDIR;
    fail(absent ? message::kMissingPath : message::kInputOutput, path, "The file cannot be opened",
         error_number);
  }
  std::string text;
  std::array<char, 65536> buffer;
  ssize_t count;
  while ((count = ::read(fd, buffer.data(), buffer.size())) != 0) {
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      const int error_number = errno;
      ::close(fd);
      fail(message::kInputOutput, path, "The file cannot be read", error_number);
    }
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  ::close(fd);
  return text;
}

OutputFile::OutputFile(const fs::path& path)
    : path_(path), fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (fd_ < 0) {
    fail(message::kCannotCreate, path_, "The file cannot be created", errno);
  }
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      fail(message::kInputOutput, path_, "The file cannot be written", errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void OutputFile::finish() {
  if (::fsync(fd_) != 0) {
    fail(message::kInputOutput, path_, "The file cannot be synchronised", errno);
  }
  const int result = ::close(fd_);
  fd_ = -1;
  if (result != 0) {
    fail(message::kInputOutput, path_, "The file cannot be closed", errno);
  }
}

void write_text(const fs::path& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.finish();
}

void remove_partials(const fs::path& folder) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with(kPartialPrefix)) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

void write_atomically(const fs::path& target, const std::function<void(const fs::path&)>& write) {
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const fs::path partial =
      folder / (std::string(kPartialPrefix) + make_uuid() + "-" + target.filename().string());
  try {
    write(partial);
    // A writer may have used a library that does not synchronise.
    const int fd = ::open(partial.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ::fsync(fd) != 0) {
      const int error_number = errno;
      if (fd >= 0) {
        ::close(fd);
      }
      fail(message::kInputOutput, partial, "The file cannot be synchronised", error_number);
    }
    ::close(fd);
    if (::rename(partial.c_str(), target.c_str()) != 0) {
      fail(message::kInputOutput, target, "The finished file cannot be put in its place", errno);
    }
  } catch (...) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    throw;
  }
  sync_folder(folder);
}

bool write_text_if_different(const fs::path& target, std::string_view text) {
  std::error_code ignored;
  if (fs::exists(target, ignored) && read_text(target) == text) {
    return false;
  }
  write_atomically(target, [&](const fs::path& path) { write_text(path, text); });
  return true;
}

void create_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    fail(message::kCannotCreate, folder, "The folder cannot be created", error.value());
  }
}

}  // namespace slim
