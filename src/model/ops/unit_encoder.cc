// SPDX-License-Identifier: Apache-2.0
#include "model/ops/unit_encoder.h"

#include <algorithm>

namespace slim::model::cpu {
namespace {

/// Most values that the rows of a mask unit take in the blocks inside mask units, at `per_row(shape)` a row.
template <class PerRow>
int64_t most_values(const PackedEncoder& encoder, const TokenLayout& layout, PerRow&& per_row) {
  int64_t most = 0;
  for (const TokenLayout::Location& location : layout.locations()) {
    for (const PackedBlock& block : encoder.blocks) {
      if (block.shape.in_mask_units) {
        const int64_t padded = (location.unit_rows(block.shape.level_in) + kPanel - 1) / kPanel * kPanel;
        most = std::max(most, padded * per_row(block.shape));
      }
    }
  }
  return most;
}

void embed_unit(const Kernels& kernels, const PackedEncoder& encoder, const TokenLayout::Location& location,
                size_t unit, const Cubes& cubes, const UnitScratch& scratch) {
  const auto [clip, block] = location.units[unit];
  const int64_t width = encoder.embed.n, rows = location.unit_rows(0);
  const auto frame_rows = static_cast<int64_t>(location.cells[0].size());
  float* const voxels = scratch.chunk.normed.get();
  for (int64_t first = 0; first < rows; first += kChunk) {
    const int64_t count = std::min(kChunk, rows - first);
    float* const x = scratch.x.get() + first * width;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t t = block * kUnitFrames + (first + i) / frame_rows;
      const auto j = static_cast<size_t>((first + i) % frame_rows);
      const int64_t space = location.cells[0][j].grid_index();
      const int64_t cube = cubes.by_grid_index ? space : location.sources[j];
      const float* const from = cubes.values + ((clip * kClipFrames + t) * cubes.cubes + cube) * kTokenVoxels;
      if (cube >= 0) {
        std::copy(from, from + kTokenVoxels, voxels + i * kTokenVoxels);
      } else {
        std::fill(voxels + i * kTokenVoxels, voxels + (i + 1) * kTokenVoxels,
                  0.0F);  // outside the packed set: zeros
      }
      for (int64_t c = 0; c < width; ++c) {
        x[i * width + c] = encoder.position_time[t * width + c] + encoder.position_space[space * width + c];
      }
    }
    kernels.gemm(voxels, kTokenVoxels, count, encoder.embed, x, width, Begin::AddBias, End::Store);
  }
}

/// Maximum over the children of every pooled row of a mask unit; `from` has row stride ld.
void pool_unit(const Kernels& kernels, const TokenLayout::Location& location, int level, const float* from,
               int64_t ld, int64_t width, float* out) {
  const std::vector<int64_t>& first_child = location.first_child[static_cast<size_t>(level)];
  const auto frame_rows = static_cast<int64_t>(location.cells[static_cast<size_t>(level)].size());
  for (int64_t pair = 0; pair < kUnitFrames >> (level + 1); ++pair) {
    for (size_t j = 0; j + 1 < first_child.size(); ++j, out += width) {
      const float* const first = from + (2 * pair * frame_rows + first_child[j]) * ld;
      std::copy(first, first + width, out);
      for (int64_t frame = 0; frame < 2; ++frame) {
        for (int64_t child = 0; child < first_child[j + 1] - first_child[j]; ++child) {
          kernels.maximum(first + (frame * frame_rows + child) * ld, width, out);
        }
      }
    }
  }
}

void run_block(const Kernels& kernels, const PackedBlock& block, const TokenLayout::Location& location,
               const UnitScratch& scratch) {
  const BlockShape& shape = block.shape;
  const int64_t width = shape.dim_out, ld = 3 * width, head = shape.head_size();
  const int64_t keys = location.unit_rows(shape.level_in), queries = location.unit_rows(shape.level_out);
  float* const x = scratch.x.get();
  const float* const qkv = scratch.qkv.get();
  project_rows(kernels, block, x, keys, scratch.qkv.get(), scratch.skip.get(), scratch.chunk);
  const float* q = qkv;
  int64_t ldq = ld;
  if (shape.pools()) {
    pool_unit(kernels, location, shape.level_in, qkv, ld, width, scratch.queries.get());
    pool_unit(kernels, location, shape.level_in, scratch.skip.get(), width, width, x);
    q = scratch.queries.get();
    ldq = width;
  } else if (shape.doubles()) {
    std::copy(scratch.skip.get(), scratch.skip.get() + keys * width, x);
  }
  for (int64_t h = 0; h < shape.heads; ++h) {
    pack_panels(qkv + width + h * head, ld, keys, head, scratch.keys.get());
    pack_rows(qkv + 2 * width + h * head, ld, keys, head, scratch.values.get());
    kernels.attend(q + h * head, ldq, queries, scratch.keys.get(), scratch.values.get(), keys, head,
                   scratch.attended.get() + h * head, width, nullptr, scratch.chunk.attention.get());
  }
  finish_rows(kernels, block, scratch.attended.get(), queries, x, scratch.chunk);
}

}  // namespace

UnitScratch::UnitScratch(const PackedEncoder& encoder, const TokenLayout& layout)
    : chunk(encoder),
      x(most_values(encoder, layout, [](const BlockShape& s) { return s.dim_out; })),
      skip(most_values(encoder, layout, [](const BlockShape& s) { return s.doubles() ? s.dim_out : 0; })),
      qkv(most_values(encoder, layout, [](const BlockShape& s) { return 3 * s.dim_out; })),
      queries(most_values(encoder, layout, [](const BlockShape& s) { return s.pools() ? s.dim_out : 0; })),
      attended(most_values(encoder, layout, [](const BlockShape& s) { return s.dim_out; })),
      keys(most_values(encoder, layout, [](const BlockShape& s) { return s.head_size(); })),
      values(most_values(encoder, layout, [](const BlockShape& s) { return s.head_size(); })) {}

void encode_unit(const Kernels& kernels, const PackedEncoder& encoder, const TokenLayout::Location& location,
                 size_t unit, const Cubes& cubes, std::span<float* const> outputs,
                 const UnitScratch& scratch) {
  const auto copy_out = [&](size_t i, int64_t values) {
    if (outputs[i] != nullptr) {
      std::copy(scratch.x.get(), scratch.x.get() + values, outputs[i]);
    }
  };
  embed_unit(kernels, encoder, location, unit, cubes, scratch);
  copy_out(0, location.unit_rows(0) * encoder.embed.n);
  for (size_t i = 0; i + 1 < outputs.size(); ++i) {
    run_block(kernels, encoder.blocks[i], location, scratch);
    const BlockShape& shape = encoder.blocks[i].shape;
    copy_out(i + 1, location.unit_rows(shape.level_out) * shape.dim_out);
  }
}

}  // namespace slim::model::cpu
