// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/ops/buffer.h"
#include "model/ops/packed_encoder.h"

namespace slim::model::cpu {

/// Rows that are taken through norm, projection and MLP at a time, so that everything between stays in the L2
/// cache.
inline constexpr int64_t kChunk = 96;

/// What one thread needs for chunks of rows and for attention.
struct ChunkScratch {
  explicit ChunkScratch(const PackedEncoder& encoder);
  Buffer normed, hidden, attention;
};

/// First half of a block for m rows: qkv [m, 3d] from norm1, and the projected skip [m, d] where the width
/// doubles.
void project_rows(const Kernels& kernels, const PackedBlock& block, const float* x, int64_t m, float* qkv,
                  float* skip, const ChunkScratch& scratch);
/// Second half for m rows: adds the projected attention and then the MLP to y [m, d], which holds the skip.
void finish_rows(const Kernels& kernels, const PackedBlock& block, const float* attended, int64_t m, float* y,
                 const ChunkScratch& scratch);

}  // namespace slim::model::cpu
