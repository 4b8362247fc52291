// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

namespace slim::model::cpu {

/// Uninitialised floats.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t size)
      : values_(std::make_unique_for_overwrite<float[]>(static_cast<size_t>(size))) {}
  float* get() const { return values_.get(); }

 private:
  std::unique_ptr<float[]> values_;
};

}  // namespace slim::model::cpu
