// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "model/layers.h"
#include "model/token_layout.h"

namespace slim::model {

/// CUDA kernels fail above this many folded groups x heads; longer slabs are split.
inline constexpr int64_t kLargestFoldedBatch = 65535;

/// Softmax attention inside the groups of every slab: q [Rq, C], k and v [Rk, C] (views of any row stride),
/// C = heads x head size -> [Rq, C]. The slabs cover all rows in order. One dense 4-D call a slab, so no
/// padding and no mask.
at::Tensor grouped_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const std::vector<Slab>& q_slabs, const std::vector<Slab>& kv_slabs,
                             int64_t heads, int64_t largest_batch = kLargestFoldedBatch);

/// The two projections of attention under their official names: `qkv` [3d, c], `proj` [d, d].
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(int64_t dim_in, int64_t dim_out);
  Linear qkv, proj;
};
TORCH_MODULE(Attention);

}  // namespace slim::model
