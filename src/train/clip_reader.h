// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "clips/window.h"
#include "core/token_set.h"

namespace slim::train {

/// Where the loader's bytes come from; called from several threads at once. Failures are Errors.
class ClipReader {
 public:
  virtual ~ClipReader() = default;
  /// Values of a frame: tokens x 64.
  virtual int64_t frame_values() const = 0;
  /// The frames of the windows of a run, one after another, as float16 bits [frames][frame_values].
  virtual void read(int64_t run, const clips::ClipFrames& frames, std::span<uint16_t> out) = 0;
  /// The valid bits of a run, [frame_values / 8], least significant first.
  virtual void read_valid(int64_t run, std::span<uint8_t> out) = 0;
};

/// Reads clip stores with pread, whole frame ranges at a time; neighbouring windows are one range. At most
/// `files_open` stores are open at once. Errors of ClipStore::open and read_frames name file and byte.
std::unique_ptr<ClipReader> read_stores(std::vector<std::filesystem::path> stores,
                                        const TokenSet& tokens = packaged_token_set(),
                                        size_t files_open = 128);

}  // namespace slim::train
