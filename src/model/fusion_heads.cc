// SPDX-License-Identifier: Apache-2.0
#include "model/fusion_heads.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include "model/layout_index.h"

namespace slim::model {
namespace {

constexpr int64_t kFinalEdge = kTokenGrid / 4;

int64_t fourth_power(int64_t k) { return k * k * k * k; }

}  // namespace

int64_t final_cell_index(const RowCell& cell) {
  return ((cell.t * kFinalEdge + cell.d) * kFinalEdge + cell.h) * kFinalEdge + cell.w;
}

FusionHeadImpl::FusionHeadImpl(int64_t in, int64_t out, int64_t edge)
    : weight(register_parameter("weight", at::zeros({out, in, edge, edge, edge, edge}))),
      bias(register_parameter("bias", at::zeros({out}))) {}

at::Tensor FusionHeadImpl::forward(const at::Tensor& rows, const at::Tensor& slots, int64_t cells) const {
  const int64_t out = weight.size(0), in = weight.size(1), children = fourth_power(weight.size(2));
  // Every row has one slot, so the backward pass is a plain gather. Children first, channels last: the weight
  // is turned once instead of every row.
  const at::Tensor filled = at::zeros({cells * children, in}, rows.options()).index_copy(0, slots, rows);
  const at::Tensor turned = weight.view({out, in, children}).transpose(1, 2).reshape({out, children * in});
  return at::linear(filled.view({cells, children * in}), turned, bias);
}

FusionHeadsImpl::FusionHeadsImpl(const EncoderOptions& options) {
  const auto list = register_module("multi_scale_fusion_heads", std::make_shared<torch::nn::Module>());
  for (size_t i = 0; i < heads.size(); ++i) {
    heads[i] = list->register_module(std::to_string(i),
                                     FusionHead(options.embed_dim << i, options.width(), int64_t{4} >> i));
  }
}

at::Tensor FusionHeadsImpl::forward(const std::array<at::Tensor, 2>& stage_rows, const at::Tensor& final_rows,
                                    const TokenLayout& layout) const {
  at::Tensor fused = final_rows;
  for (size_t i = 0; i < heads.size(); ++i) {
    const at::Tensor slots = child_slots(layout, static_cast<int>(i), final_rows.device());
    fused = fused + heads[i]->forward(stage_rows[i], slots, layout.rows(kLevels - 1));
  }
  return fused;
}

}  // namespace slim::model
