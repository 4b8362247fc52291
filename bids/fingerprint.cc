// SPDX-License-Identifier: Apache-2.0
#include "bids/fingerprint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "bids/text_file.h"
#include "core/error.h"
#include "core/sha256.h"

namespace fs = std::filesystem;

namespace slim::bids {
namespace {

constexpr uint64_t kEnd = 1u << 20;
constexpr uint64_t kBlock = 64 * 1024;
constexpr uint64_t kBlocks = 64;

class File {
 public:
  explicit File(const fs::path& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) {
      const int error = errno;
      throw Error(error == ENOENT || error == ENOTDIR ? message::kMissingPath : message::kInputOutput,
                  std::string("The file cannot be opened: ") + std::strerror(error) + ".",
                  {.file = path.string()});
    }
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }

  uint64_t size() const {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) {
      fail();
    }
    return static_cast<uint64_t>(status.st_size);
  }

  std::vector<std::byte> read(uint64_t start, uint64_t count) const {
    std::vector<std::byte> bytes(count);
    for (uint64_t done = 0; done < count;) {
      const ssize_t got = ::pread(fd_, bytes.data() + done, count - done, static_cast<off_t>(start + done));
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0) {
        fail();
      }
      done += static_cast<uint64_t>(got);
    }
    return bytes;
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(message::kInputOutput, std::string("The file cannot be read: ") + std::strerror(errno) + ".",
                {.file = path_.string()});
  }
  fs::path path_;
  int fd_;
};

// The key is the last component of a link into an annex's store; the content's hash is in it for the usual
// backends.
std::optional<std::string> annex_key(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error) || error) {
    return std::nullopt;
  }
  const fs::path target = fs::read_symlink(path, error);
  if (error || !is_annex_link(target.string())) {
    return std::nullopt;
  }
  return target.filename().string();
}

bool is_gzip(const std::vector<std::byte>& head) {
  return head.size() >= 2 && head[0] == std::byte{0x1f} && head[1] == std::byte{0x8b};
}

}  // namespace

std::string input_fingerprint(const fs::path& path) {
  if (const std::optional<std::string> key = annex_key(path)) {
    return "annex:" + *key;
  }
  const File file(path);
  const uint64_t size = file.size();
  const std::vector<std::byte> head = file.read(0, std::min(size, kEnd));
  Sha256 ends;
  ends.update(head);
  const uint64_t tail_start = std::max(head.size(), size - std::min(size, kEnd));  // no byte counts twice
  ends.update(file.read(tail_start, size - tail_start));
  std::string text = "size:" + std::to_string(size) + ",sha256ends:" + ends.hex();
  if (!is_gzip(head)) {
    Sha256 blocks;
    const uint64_t last_start = size - std::min(size, kBlock);
    for (uint64_t i = 0; i < kBlocks; ++i) {
      const uint64_t start = last_start / (kBlocks - 1) * i + last_start % (kBlocks - 1) * i / (kBlocks - 1);
      blocks.update(file.read(start, std::min(kBlock, size - start)));
    }
    text += ",sha256blocks:" + blocks.hex();
  }
  return text;
}

}  // namespace slim::bids
