// SPDX-License-Identifier: Apache-2.0
#include "model/mask_unit_attention.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>

namespace slim::model {
namespace {

// Note [Four dimensions]. Every q, k, v given to scaled_dot_product_attention is 4-D [groups, heads, rows,
// head size]: a 5-D tensor falls silently to the math path, which stores all scores.
at::Tensor folded(const at::Tensor& rows, const Slab& slab, int64_t first_group, int64_t groups,
                  int64_t heads) {
  return rows.narrow(0, slab.first_row + first_group * slab.rows, groups * slab.rows)
      .view({groups, slab.rows, heads, -1})
      .transpose(1, 2);
}

}  // namespace

at::Tensor grouped_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const std::vector<Slab>& q_slabs, const std::vector<Slab>& kv_slabs,
                             int64_t heads, int64_t largest_batch) {
  const int64_t most_groups = std::max<int64_t>(1, largest_batch / heads);
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < q_slabs.size(); ++i) {
    for (int64_t first = 0; first < q_slabs[i].groups; first += most_groups) {
      const int64_t groups = std::min(most_groups, q_slabs[i].groups - first);
      const at::Tensor y = at::scaled_dot_product_attention(folded(q, q_slabs[i], first, groups, heads),
                                                            folded(k, kv_slabs[i], first, groups, heads),
                                                            folded(v, kv_slabs[i], first, groups, heads));
      parts.push_back(y.transpose(1, 2).reshape({groups * q_slabs[i].rows, q.size(1)}));
    }
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

AttentionImpl::AttentionImpl(int64_t dim_in, int64_t dim_out)
    : qkv(register_module("qkv", Linear(dim_in, 3 * dim_out))),
      proj(register_module("proj", Linear(dim_out, dim_out))) {}

}  // namespace slim::model
