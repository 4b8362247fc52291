// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "clips/clip_store.h"
#include "core/half.h"

namespace slim::test {

/// Writes a clip store of value(frame, voxel) over a token set, asked for in the order of storage; every
/// voxel is valid. `facts` is metadata besides, or instead of, what every store must say.
inline void write_clip_store(const std::filesystem::path& path, const TokenSet& tokens, int64_t frames,
                             const std::function<float(int64_t frame, int64_t voxel)>& value,
                             std::map<std::string, std::string> facts = {}) {
  const int64_t voxels = tokens.size() * kTokenVoxels;
  std::vector<uint16_t> bold;
  bold.reserve(static_cast<size_t>(frames * voxels));
  for (int64_t frame = 0; frame < frames; ++frame) {
    for (int64_t voxel = 0; voxel < voxels; ++voxel) {
      bold.push_back(half_from_float(value(frame, voxel)));
    }
  }
  const std::vector<uint8_t> valid(static_cast<size_t>(voxels) / 8, 0xff);
  facts.merge(std::map<std::string, std::string>{{"slimbrain_clips", "1"},
                                                 {"token_mask_sha256", tokens.mask_sha256},
                                                 {"token_order_sha256", tokens.order_sha256},
                                                 {"n_frames", std::to_string(frames)},
                                                 {"repetition_time_s", "0.72"}});
  clips::write_clip_store(path, {.n_frames = frames, .bold = bold, .valid = valid, .metadata = facts});
}

}  // namespace slim::test
