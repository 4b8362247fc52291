// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace slim::preproc {

/// A block of zeroed memory for frames, on large pages where the system has them; it can shrink but not grow.
class FrameBuffer {
 public:
  FrameBuffer() = default;
  /// Error SB4004 when the memory is not there.
  explicit FrameBuffer(size_t bytes);
  FrameBuffer(FrameBuffer&& other) noexcept;
  FrameBuffer& operator=(FrameBuffer&& other) noexcept;
  FrameBuffer(const FrameBuffer&) = delete;
  FrameBuffer& operator=(const FrameBuffer&) = delete;
  ~FrameBuffer();

  size_t size() const { return bytes_; }
  /// Gives what lies behind `bytes` back to the system.
  void shrink(size_t bytes);

  std::span<float> floats() { return {static_cast<float*>(data_), bytes_ / sizeof(float)}; }
  std::span<const float> floats() const { return {static_cast<const float*>(data_), bytes_ / sizeof(float)}; }
  std::span<uint16_t> halves() { return {static_cast<uint16_t*>(data_), bytes_ / sizeof(uint16_t)}; }
  std::span<const uint16_t> halves() const {
    return {static_cast<const uint16_t*>(data_), bytes_ / sizeof(uint16_t)};
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  size_t mapped_ = 0;
};

}  // namespace slim::preproc
