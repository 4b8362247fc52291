// SPDX-License-Identifier: Apache-2.0
#include "preproc/frame_buffer.h"

#include <sys/mman.h>

#include <string>
#include <utility>

#include "core/error.h"

namespace slim::preproc {

namespace {
constexpr size_t kLargePage = size_t{2} << 20;
}

FrameBuffer::FrameBuffer(size_t bytes)
    : bytes_(bytes), mapped_((bytes + kLargePage - 1) / kLargePage * kLargePage) {
  if (bytes == 0) {
    mapped_ = 0;
    return;
  }
  void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(message::kNoMemory, "No memory for the frames of this run.",
                {.expected = std::to_string(bytes >> 20) + " MiB"});
  }
  madvise(memory, mapped_, MADV_HUGEPAGE);  // a refusal changes the speed only
  data_ = memory;
}

FrameBuffer::FrameBuffer(FrameBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

FrameBuffer& FrameBuffer::operator=(FrameBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

FrameBuffer::~FrameBuffer() {
  if (data_ != nullptr) {
    munmap(data_, mapped_);
  }
}

void FrameBuffer::shrink(size_t bytes) {
  const size_t kept = (bytes + kLargePage - 1) / kLargePage * kLargePage;
  if (kept > 0 && kept < mapped_) {
    munmap(static_cast<std::byte*>(data_) + kept, mapped_ - kept);
    mapped_ = kept;
  }
  bytes_ = bytes < bytes_ ? bytes : bytes_;
}

}  // namespace slim::preproc
