// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "generated.h"

namespace slim::model::testing {

/// Six tokens in locations 0 (two), 1, 4, 18 and 20: networks run in milliseconds.
inline const TokenSet& small_set() {
  static const TokenSet set = [] {
    std::vector<uint8_t> flags(24 * 24 * 24, 0);
    for (const int64_t place : {0, 1, 8, 16 * 24 * 24, 16 * 24 * 24 + 17, 12 * 24 + 12}) {
      flags[static_cast<size_t>(place)] = 1;
    }
    return token_set_from_flags(flags);
  }();
  return set;
}

/// Clips of that set, float32.
inline at::Tensor small_clips(int64_t clips, const std::string& name = "clips") {
  return generated(name, {clips, kClipFrames, small_set().size(), kTokenVoxels}, std::sqrt(3.0));
}

}  // namespace slim::model::testing
