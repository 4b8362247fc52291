// SPDX-License-Identifier: Apache-2.0
#include "model/hiera_encoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "model/ops/cpu_encoder.h"
#include "model/ops/packed_encoder.h"

namespace slim::model {

std::string block_name(size_t block) { return (block < 10 ? "block0" : "block") + std::to_string(block); }

HieraEncoderImpl::HieraEncoderImpl(EncoderOptions options)
    : pos_embed_spatial(register_parameter(
          "pos_embed_spatial", at::zeros({1, kTokenGrid * kTokenGrid * kTokenGrid, options.embed_dim}))),
      pos_embed_temporal(
          register_parameter("pos_embed_temporal", at::zeros({1, kClipFrames, options.embed_dim}))),
      patch_embed(register_module("patch_embed", PatchEmbed(options.embed_dim))),
      encoder_norm(register_module("encoder_norm", LayerNorm(options.width(), options.norm_eps))),
      options_(std::move(options)) {
  const auto list = register_module("blocks", std::make_shared<torch::nn::Module>());
  for (const BlockShape& shape : block_shapes(options_)) {
    blocks.push_back(
        list->register_module(std::to_string(blocks.size()), HieraBlock(shape, options_.norm_eps)));
  }
}

at::Tensor HieraEncoderImpl::final_rows(const at::Tensor& clip, const TokenLayout& layout,
                                        const RowWatcher& watch) const {
  if (!at::GradMode::is_enabled() && clip.is_cpu() && cpu::fits_kernels(*this)) {
    const auto kernels = cpu::supported_kernels();
    if (!kernels.empty()) {
      return cpu::final_rows(*kernels.front(), *this, clip, layout, watch);
    }
  }
  const LayoutIndex index = make_layout_index(layout, clip.device());
  at::Tensor x = patch_embed->forward(clip, layout, index) +
                 pos_embed_temporal[0].index_select(0, index.time) +
                 pos_embed_spatial[0].index_select(0, index.space);
  if (watch) {
    watch("embedding", x, layout.cells(0));
  }
  bool clip_major = false;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const BlockShape& shape = blocks[i]->shape();
    if (!shape.in_mask_units && !clip_major) {
      x = x.index_select(0, index.clip_major);
      clip_major = true;
    }
    x = blocks[i]->forward(x, layout, index);
    if (watch) {
      watch(block_name(i), x, clip_major ? layout.final_cells() : layout.cells(shape.level_out));
    }
  }
  return x;
}

EncoderOutput HieraEncoderImpl::forward(const at::Tensor& clip, const TokenLayout& layout,
                                        const ForwardOptions& options) const {
  const at::Tensor rows = final_rows(clip, layout, options.watch);
  // Means and norms are taken in float32 whatever the model computes in.
  const auto statistics = rows.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  std::vector<at::Tensor> means;
  int64_t first = 0;
  for (const int64_t count : layout.clip_rows()) {
    means.push_back(rows.narrow(0, first, count).to(statistics).mean(0));
    first += count;
  }
  return {.pooled = at::layer_norm(at::stack(means), {options_.width()}, encoder_norm->weight.to(statistics),
                                   encoder_norm->bias.to(statistics), encoder_norm->eps()),
          .rows = options.rows ? rows : at::Tensor()};
}

}  // namespace slim::model
