// SPDX-License-Identifier: Apache-2.0
#include "model/hiera_block.h"

namespace slim::model {

BlockRows block_rows(const BlockShape& shape, const TokenLayout& layout, const LayoutIndex& index) {
  const auto slabs = [&](int level) {
    return shape.in_mask_units ? layout.mask_unit_slabs(level) : layout.clip_slabs();
  };
  return {.queries = slabs(shape.level_out),
          .keys = slabs(shape.level_in),
          .children = shape.pools() ? index.children[static_cast<size_t>(shape.level_in)] : at::Tensor()};
}

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

at::Tensor HieraBlockImpl::forward(const at::Tensor& x, const BlockRows& rows) const {
  const auto pooled = [&](const at::Tensor& all) {
    return shape_.pools() ? pool_children(all, rows.children) : all;
  };
  const auto scaled = [](const at::Tensor& branch, const at::Tensor& scale) {
    return scale.defined() ? branch * scale : branch;
  };
  const at::Tensor n = norm1->forward(x);
  const at::Tensor skip = pooled(shape_.doubles() ? proj->forward(n) : x);
  // One split: its backward is one concatenation, where three narrows would each fill a whole gradient.
  const std::vector<at::Tensor> qkv = attn->qkv->forward(n).split(shape_.dim_out, 1);
  const at::Tensor attended =
      grouped_attention(pooled(qkv[0]), qkv[1], qkv[2], rows.queries, rows.keys, shape_.heads);
  const at::Tensor y = skip + scaled(attn->proj->forward(attended), rows.attention_scale);
  return y + scaled(mlp->forward(norm2->forward(y)), rows.mlp_scale);
}

}  // namespace slim::model
