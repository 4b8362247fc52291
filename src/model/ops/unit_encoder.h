// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "model/ops/block_rows.h"

namespace slim::model::cpu {

/// A clip's voxels in cubes of 64: frame (clip * 40 + t) holds `cubes` cubes.
struct Cubes {
  const float* values = nullptr;
  int64_t cubes = 0;
  bool by_grid_index = false;  // all 13,824 cubes by (d, h, w); else the packed tokens in store order
};

/// What one thread needs to take the largest mask unit through the blocks that attend inside mask units.
struct UnitScratch {
  UnitScratch(const PackedEncoder& encoder, const TokenLayout& layout);
  ChunkScratch chunk;
  Buffer x, skip, qkv, queries, attended, keys, values;
};

/// Takes one mask unit through the embedding and the first `outputs.size() - 1` blocks. Where outputs[i] is
/// not null, the rows after the embedding (i = 0) or after block i - 1 are copied there; it points to the
/// first row of the unit.
void encode_unit(const Kernels& kernels, const PackedEncoder& encoder, const TokenLayout::Location& location,
                 size_t unit, const Cubes& cubes, std::span<float* const> outputs,
                 const UnitScratch& scratch);

}  // namespace slim::model::cpu
