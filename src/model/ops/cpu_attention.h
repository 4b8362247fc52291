// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/mask_unit_attention.h"

namespace slim::model::cpu {

/// True when attention_of can take these: float32 on the CPU, heads of 16, 32, 48 or 64 values side by side,
/// and a processor that runs the kernels.
bool fits_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads);

/// grouped_attention by the CPU kernels, with gradients. torch's own kernel multiplies blocks by sgemm, whose
/// copies take most of the time when a head has 16 values. Results do not depend on the number of threads.
at::Tensor attention_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const std::vector<Slab>& q_slabs, const std::vector<Slab>& kv_slabs, int64_t heads);

}  // namespace slim::model::cpu
