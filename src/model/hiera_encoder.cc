// SPDX-License-Identifier: Apache-2.0
#include "model/hiera_encoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "model/device/upload.h"
#include "model/ops/cpu_encoder.h"
#include "model/ops/packed_encoder.h"
#include "model/ops/recompute.h"

namespace slim::model {
namespace {

/// The clip of every row of a level.
at::Tensor row_clips(const TokenLayout& layout, int level, bool clip_major, at::Device device) {
  const std::vector<RowCell> cells = clip_major ? layout.final_cells() : layout.cells(level);
  at::Tensor clips = at::empty({static_cast<int64_t>(cells.size())}, at::kLong);
  int64_t* out = clips.data_ptr<int64_t>();
  for (const RowCell& cell : cells) {
    *out++ = cell.clip;
  }
  return upload(clips, device);
}

}  // namespace

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

at::Tensor HieraEncoderImpl::embed(const at::Tensor& clip, const TokenLayout& layout,
                                   const LayoutIndex& index) const {
  const int64_t width = options_.embed_dim;
  // Positions by embedding(): its gradient is summed row by row, in one order, in parallel.
  return patch_embed->forward(clip, layout, index)
      .add_(at::embedding(pos_embed_temporal.view({-1, width}), index.time))
      .add_(at::embedding(pos_embed_spatial.view({-1, width}), index.space));
}

at::Tensor HieraEncoderImpl::final_rows(const at::Tensor& clip, const TokenLayout& layout,
                                        const ForwardOptions& options,
                                        std::array<at::Tensor, 2>& stage_rows) const {
  const auto ends = stage_ends(options_);
  if (!at::GradMode::is_enabled() && clip.is_cpu() && cpu::fits_kernels(*this)) {
    const auto kernels = cpu::supported_kernels();
    if (!kernels.empty()) {
      return cpu::final_rows(*kernels.front(), *this, clip, layout, options.watch,
                             options.stage_rows ? &stage_rows : nullptr);
    }
  }
  const LayoutIndex index = make_layout_index(layout, clip.device());
  at::Tensor x = embed(clip, layout, index);
  if (options.watch) {
    options.watch("embedding", x, layout.cells(0));
  }
  bool clip_major = false;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const BlockShape& shape = blocks[i]->shape();
    if (!shape.in_mask_units && !clip_major) {
      x = x.index_select(0, index.clip_major);
      clip_major = true;
    }
    BlockRows rows = block_rows(shape, layout, index);
    if (options.drop_path.rate > 0.0 && at::GradMode::is_enabled()) {
      const at::Tensor clips = row_clips(layout, shape.level_out, clip_major, clip.device());
      const auto scale = [&](int branch) {
        return drop_path_scale(options.drop_path, static_cast<int64_t>(i), options_.blocks(), branch, clips,
                               x.scalar_type());
      };
      rows.attention_scale = scale(0);
      rows.mlp_scale = scale(1);
    }
    const auto run = [block = blocks[i], rows = std::move(rows)](const at::Tensor& in) {
      return block->forward(in, rows);
    };
    x = options.recompute ? recomputed(run, x) : run(x);
    for (size_t stage = 0; stage < stage_rows.size() && options.stage_rows; ++stage) {
      if (static_cast<int64_t>(i) == ends[stage]) {
        stage_rows[stage] = x;
      }
    }
    if (options.watch) {
      options.watch(block_name(i), x, clip_major ? layout.final_cells() : layout.cells(shape.level_out));
    }
  }
  return x;
}

EncoderOutput HieraEncoderImpl::forward(const at::Tensor& clip, const TokenLayout& layout,
                                        const ForwardOptions& options) const {
  EncoderOutput output;
  const at::Tensor rows = final_rows(clip, layout, options, output.stage_rows);
  if (options.rows) {
    output.rows = rows;
  }
  if (options.pooled) {
    // Means and norms are taken in float32 whatever the model computes in.
    const auto statistics = rows.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    std::vector<at::Tensor> means;
    for (const at::Tensor& of_clip : rows.split_with_sizes(layout.clip_rows(), 0)) {
      means.push_back(of_clip.to(statistics).mean(0));
    }
    output.pooled = at::layer_norm(at::stack(means), {options_.width()}, encoder_norm->weight.to(statistics),
                                   encoder_norm->bias.to(statistics), encoder_norm->eps());
  }
  return output;
}

}  // namespace slim::model
