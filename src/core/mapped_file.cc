// SPDX-License-Identifier: Apache-2.0
#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace slim {
namespace {

[[noreturn]] void fail(const Message& message, const std::filesystem::path& path, const char* what,
                       int error_number) {
  throw Error(message, std::string(what) + ": " + std::strerror(error_number) + ".", {.file = path.string()});
}

}  // namespace

MappedFile MappedFile::open(const std::filesystem::path& path, const Message& irregular) {
  // Without O_NONBLOCK a named pipe would be waited for, for ever.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const int error_number = errno;
    const bool absent = error_number == ENOENT || error_number == ENOTDIR;
    fail(absent ? message::kMissingPath : message::kInputOutput, path, "The file cannot be opened",
         error_number);
  }
  const auto close_file = [](const int* open_fd) { ::close(*open_fd); };
  const std::unique_ptr<const int, decltype(close_file)> guard(&fd, close_file);

  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    fail(message::kInputOutput, path, "The file cannot be examined", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(irregular, "This is not a regular file.", {.file = path.string()});
  }
  MappedFile file;
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) {
    return file;  // mmap refuses empty ranges
  }
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) {
    fail(message::kInputOutput, path, "The file cannot be mapped", errno);
  }
  file.mapping_ = std::shared_ptr<const void>(
      address, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  file.bytes_ = {static_cast<const std::byte*>(address), size};
  return file;
}

}  // namespace slim
