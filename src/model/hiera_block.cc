// SPDX-License-Identifier: Apache-2.0
#include "model/hiera_block.h"

namespace slim::model {

HieraBlockImpl::HieraBlockImpl(const BlockShape& shape, double norm_eps)
    : norm1(register_module("norm1", LayerNorm(shape.dim_in, norm_eps))),
      norm2(register_module("norm2", LayerNorm(shape.dim_out, norm_eps))),
      attn(register_module("attn", Attention(shape.dim_in, shape.dim_out))),
      mlp(register_module("mlp", Mlp(shape.dim_out, shape.hidden))),
      shape_(shape) {
  if (shape.doubles()) {
    proj = register_module("proj", Linear(shape.dim_in, shape.dim_out));
  }
}

at::Tensor HieraBlockImpl::forward(const at::Tensor& x, const TokenLayout& layout,
                                   const LayoutIndex& index) const {
  const auto pooled = [&](const at::Tensor& rows) {
    return shape_.pools() ? pool_children(rows, index.children[static_cast<size_t>(shape_.level_in)]) : rows;
  };
  const at::Tensor n = norm1->forward(x);
  const at::Tensor skip = pooled(shape_.doubles() ? proj->forward(n) : x);
  const at::Tensor qkv = attn->qkv->forward(n);
  const auto part = [&](int64_t i) { return qkv.narrow(1, i * shape_.dim_out, shape_.dim_out); };
  const auto slabs = [&](int level) {
    return shape_.in_mask_units ? layout.mask_unit_slabs(level) : layout.clip_slabs();
  };
  const at::Tensor attended = grouped_attention(pooled(part(0)), part(1), part(2), slabs(shape_.level_out),
                                                slabs(shape_.level_in), shape_.heads);
  const at::Tensor y = skip + attn->proj->forward(attended);
  return y + mlp->forward(norm2->forward(y));
}

}  // namespace slim::model
