// SPDX-License-Identifier: Apache-2.0
#include "model/ops/block_rows.h"

#include <algorithm>

namespace slim::model::cpu {
namespace {

int64_t widest(const PackedEncoder& encoder, bool hidden) {
  int64_t width = kTokenVoxels;
  for (const PackedBlock& block : encoder.blocks) {
    width = std::max(width, hidden ? block.shape.hidden : block.shape.dim_out);
  }
  return width;
}

void norm_rows(const Kernels& kernels, const Norm& norm, const float* x, int64_t m, int64_t width,
               float* out) {
  kernels.layer_norm(x, width, m, width, norm.weight, norm.bias, norm.eps, out);
}

}  // namespace

ChunkScratch::ChunkScratch(const PackedEncoder& encoder)
    : normed(kChunk * widest(encoder, false)),
      hidden(kChunk * widest(encoder, true)),
      attention(kAttentionScratch) {}

void project_rows(const Kernels& kernels, const PackedBlock& block, const float* x, int64_t m, float* qkv,
                  float* skip, const ChunkScratch& scratch) {
  const int64_t in = block.shape.dim_in, out = block.shape.dim_out;
  for (int64_t first = 0; first < m; first += kChunk) {
    const int64_t rows = std::min(kChunk, m - first);
    norm_rows(kernels, block.norm1, x + first * in, rows, in, scratch.normed.get());
    kernels.gemm(scratch.normed.get(), in, rows, block.qkv, qkv + first * 3 * out, 3 * out, Begin::Bias,
                 End::Store);
    if (block.shape.doubles()) {
      kernels.gemm(scratch.normed.get(), in, rows, block.skip, skip + first * out, out, Begin::Bias,
                   End::Store);
    }
  }
}

void finish_rows(const Kernels& kernels, const PackedBlock& block, const float* attended, int64_t m, float* y,
                 const ChunkScratch& scratch) {
  const int64_t width = block.shape.dim_out, hidden = block.shape.hidden;
  for (int64_t first = 0; first < m; first += kChunk) {
    const int64_t rows = std::min(kChunk, m - first);
    float* const chunk = y + first * width;
    kernels.gemm(attended + first * width, width, rows, block.proj, chunk, width, Begin::AddBias, End::Store);
    norm_rows(kernels, block.norm2, chunk, rows, width, scratch.normed.get());
    kernels.gemm(scratch.normed.get(), width, rows, block.fc1, scratch.hidden.get(), hidden, Begin::Bias,
                 End::Gelu);
    kernels.gemm(scratch.hidden.get(), hidden, rows, block.fc2, chunk, width, Begin::AddBias, End::Store);
  }
}

}  // namespace slim::model::cpu
