// SPDX-License-Identifier: Apache-2.0
#include "model/predictor.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>

#include "core/error.h"
#include "model/fusion_heads.h"
#include "model/ops/recompute.h"

namespace slim::model {
namespace {

/// Rows of the two kinds (all context rows, then all queries) brought together clip by clip.
struct ClipOrder {
  std::vector<int64_t> source;   // of every row in clip order
  std::vector<int64_t> cells;    // final_cell_index
  std::vector<int64_t> queries;  // places of the queries in clip order
  std::vector<Slab> slabs;
};

ClipOrder clip_order(const PredictorRows& rows) {
  ClipOrder order;
  const auto all_context = static_cast<int64_t>(rows.context_cells.size());
  int64_t context = 0, query = 0;
  for (size_t clip = 0; clip < rows.context_counts.size(); ++clip) {
    const int64_t first = static_cast<int64_t>(order.source.size());
    for (int64_t i = 0; i < rows.context_counts[clip]; ++i, ++context) {
      order.cells.push_back(rows.context_cells[static_cast<size_t>(context)]);
      order.source.push_back(context);
    }
    for (int64_t i = 0; i < rows.query_counts[clip]; ++i, ++query) {
      order.queries.push_back(static_cast<int64_t>(order.source.size()));
      order.cells.push_back(rows.query_cells[static_cast<size_t>(query)]);
      order.source.push_back(all_context + query);
    }
    const int64_t count = static_cast<int64_t>(order.source.size()) - first;
    if (!order.slabs.empty() && order.slabs.back().rows == count) {
      ++order.slabs.back().groups;
    } else {
      order.slabs.push_back({.first_row = first, .groups = 1, .rows = count});
    }
  }
  return order;
}

}  // namespace

PredictorOptions predictor_preset(std::string_view name) {
  if (name == "base") {
    return {};
  }
  if (name == "light") {
    return {.width = 384, .depth = 6, .heads = 12};
  }
  if (name == "tiny") {
    return {.input = 128, .width = 64, .depth = 2, .heads = 4, .output = 128};
  }
  throw Error(message::kBadValue, "There is no predictor \"" + std::string(name) + "\".",
              {.expected = "tiny, light or base"});
}

PredictorImpl::PredictorImpl(PredictorOptions options)
    : mask_token(register_parameter("mask_token", at::zeros({1, 1, options.width}))),
      decoder_pos_embed(register_parameter("decoder_pos_embed", at::zeros({1, kFinalCells, options.width}))),
      decoder_embed(register_module("decoder_embed", Linear(options.input, options.width))),
      decoder_pred(register_module("decoder_pred", Linear(options.width, options.output))),
      decoder_norm(register_module("decoder_norm", LayerNorm(options.width, options.norm_eps))),
      options_(options) {
  const auto list = register_module("decoder_blocks", std::make_shared<torch::nn::Module>());
  const BlockShape shape{.dim_in = options.width,
                         .dim_out = options.width,
                         .heads = options.heads,
                         .hidden = options.mlp_ratio * options.width,
                         .level_in = kLevels - 1,
                         .level_out = kLevels - 1,
                         .in_mask_units = false};
  for (int64_t i = 0; i < options.depth; ++i) {
    blocks.push_back(list->register_module(std::to_string(i), HieraBlock(shape, options.norm_eps)));
  }
}

at::Tensor PredictorImpl::forward(const at::Tensor& context, const PredictorRows& rows,
                                  bool recompute) const {
  const ClipOrder order = clip_order(rows);
  const auto index = [&](const std::vector<int64_t>& values) {
    return index_tensor(values, context.device());
  };
  const at::Tensor tokens =
      mask_token.view({1, -1}).expand({static_cast<int64_t>(rows.query_cells.size()), options_.width});
  at::Tensor x = at::cat({decoder_embed->forward(context), tokens}).index_select(0, index(order.source)) +
                 at::embedding(decoder_pos_embed.view({-1, options_.width}), index(order.cells));
  const BlockRows scope{.queries = order.slabs, .keys = order.slabs};
  for (const HieraBlock& block : blocks) {
    const auto run = [block, scope](const at::Tensor& in) { return block->forward(in, scope); };
    x = recompute ? recomputed(run, x) : run(x);
  }
  return decoder_pred->forward(decoder_norm->forward(x.index_select(0, index(order.queries))));
}

}  // namespace slim::model
