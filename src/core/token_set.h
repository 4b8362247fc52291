// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/slim_grid.h"

namespace slim {

/// A token's place on the 24 x 24 x 24 token grid: (d, h, w) = (x, y, z) / 4.
struct TokenCell {
  uint8_t d = 0, h = 0, w = 0;
  bool operator==(const TokenCell&) const = default;
  /// Location 0..26: ((d/8)*3 + h/8)*3 + w/8.
  int location() const { return ((d / 8) * 3 + h / 8) * 3 + w / 8; }
  /// Row of the spatial position table: (d*24 + h)*24 + w.
  int grid_index() const { return (d * 24 + h) * 24 + w; }
};

/// Morton code of a token inside its location: sum over k of (4 d_k + 2 h_k + w_k) 8^k.
int morton_in_location(TokenCell cell);

// Note [Tokens]. A cube of 4 x 4 x 4 voxels is a token when it holds a voxel of the packaged brain mask. The
// set is the same for every run, so batches are rectangular. Store order is location by location, Morton
// inside a location: the children of every pooled cell are neighbours. Value v = 16 (x%4) + 4 (y%4) + z%4 of
// a token is a voxel, row-major, as the patch weights expect.
/// The tokens that exist, in store order.
struct TokenSet {
  std::vector<TokenCell> cells;                  // store order
  std::array<int64_t, kLocations> per_location;  // tokens of each location
  std::string mask_sha256;                       // of 24^3 bytes 0/1, z fastest
  std::string order_sha256;                      // of the ordered grid indices, little-endian uint16

  int64_t size() const { return static_cast<int64_t>(cells.size()); }
  /// Storage index (x fastest, on the SLIM grid) of every stored value, token by token: [size() * 64].
  std::vector<int32_t> voxel_indices() const;
};

/// Makes a set from 24^3 flags (z fastest, index (d*24 + h)*24 + w).
TokenSet token_set_from_flags(const std::vector<uint8_t>& flags);

/// The packaged set of 4,472 tokens (slim_tokens.txt).
const TokenSet& packaged_token_set();

/// The packaged brain mask on the SLIM grid, 96^3 bytes 0/1, x fastest (slim_brain.txt).
const std::vector<uint8_t>& packaged_brain_mask();

}  // namespace slim
