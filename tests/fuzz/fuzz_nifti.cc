// SPDX-License-Identifier: Apache-2.0
// One input through the header parser and through the frames of a file that lives in memory.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "image/nifti_io.h"

namespace {

constexpr size_t kLargestFrameBytes = size_t{1} << 22;
constexpr int64_t kMostFrames = 64;

/// A file without a name, for code that opens paths.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (fd_ < 0 || write(fd_, data, size) != static_cast<ssize_t>(size)) {
      std::abort();
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(fd_); }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

void read_frames(const std::filesystem::path& path) {
  const auto source = slim::image::open_frames(path);
  const slim::image::NiftiHeader& header = source->header();
  if (source->frame_bytes() > kLargestFrameBytes || header.volumes() > kMostFrames) {
    return;  // allowed, but slow to go through a hundred thousand times
  }
  std::vector<std::byte> raw(source->frame_bytes());
  std::vector<float> values(static_cast<size_t>(header.grid.voxels()));
  for (int64_t t = 0; t < header.volumes(); ++t) {
    source->next(raw);
    slim::image::convert_voxels(header, raw, values);
  }
  source->finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    slim::image::parse_header(std::as_bytes(std::span(data, size)), "fuzz.nii");
  } catch (const slim::Error&) {
    // A coded refusal is the right answer to most inputs.
  }
  try {
    read_frames(MemoryFile(data, size).path());
  } catch (const slim::Error&) {
  }
  return 0;
}
