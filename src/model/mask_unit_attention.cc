// SPDX-License-Identifier: Apache-2.0
#include "model/mask_unit_attention.h"

#include <ATen/ops/cat.h>

#include <algorithm>

#include "model/device/attention_backend.h"
#include "model/ops/cpu_attention.h"

namespace slim::model {
namespace {

// Note [Four dimensions]. Every q, k, v given to fused_attention is 4-D [groups, heads, rows,
// head size]: a 5-D tensor falls silently to the math path, which stores all scores.
std::vector<at::Tensor> folded(const at::Tensor& rows, const std::vector<Slab>& pieces, int64_t heads) {
  std::vector<int64_t> sizes;
  for (const Slab& piece : pieces) {
    sizes.push_back(piece.groups * piece.rows);
  }
  // One split, so that the backward pass concatenates once instead of filling a whole gradient a piece.
  std::vector<at::Tensor> parts = rows.split_with_sizes(sizes, 0);
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i] = parts[i].view({pieces[i].groups, pieces[i].rows, heads, -1}).transpose(1, 2);
  }
  return parts;
}

/// The slabs, none with more than `most_groups` groups.
std::vector<Slab> cut(const std::vector<Slab>& slabs, int64_t most_groups) {
  std::vector<Slab> pieces;
  for (const Slab& slab : slabs) {
    for (int64_t first = 0; first < slab.groups; first += most_groups) {
      pieces.push_back({.first_row = slab.first_row + first * slab.rows,
                        .groups = std::min(most_groups, slab.groups - first),
                        .rows = slab.rows});
    }
  }
  return pieces;
}

}  // namespace

at::Tensor grouped_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const std::vector<Slab>& q_slabs, const std::vector<Slab>& kv_slabs,
                             int64_t heads, int64_t largest_batch) {
  if (cpu::fits_attention(q, k, v, heads)) {
    return cpu::attention_of(q, k, v, q_slabs, kv_slabs, heads);
  }
  const int64_t most_groups = std::max<int64_t>(1, largest_batch / heads);
  const std::vector<Slab> q_pieces = cut(q_slabs, most_groups), kv_pieces = cut(kv_slabs, most_groups);
  const auto qs = folded(q, q_pieces, heads), ks = folded(k, kv_pieces, heads),
             vs = folded(v, kv_pieces, heads);
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < qs.size(); ++i) {
    const at::Tensor y = fused_attention(qs[i], ks[i], vs[i]);
    parts.push_back(y.transpose(1, 2).reshape({-1, q.size(1)}));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

AttentionImpl::AttentionImpl(int64_t dim_in, int64_t dim_out)
    : qkv(register_module("qkv", Linear(dim_in, 3 * dim_out))),
      proj(register_module("proj", Linear(dim_out, dim_out))) {}

}  // namespace slim::model
