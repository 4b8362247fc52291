// SPDX-License-Identifier: Apache-2.0
#include "model/flops.h"

namespace slim::model {

Flops count_encoder_flops(const EncoderOptions& options, const TokenLayout& layout) {
  const auto rows_at = [&layout](int level) { return static_cast<double>(layout.rows(level)); };
  Flops flops{.linear = 2.0 * rows_at(0) * static_cast<double>(kTokenVoxels * options.embed_dim)};
  for (const BlockShape& shape : block_shapes(options)) {
    const auto in = static_cast<double>(shape.dim_in), out = static_cast<double>(shape.dim_out);
    const double rows_in = rows_at(shape.level_in), rows_out = rows_at(shape.level_out);
    flops.linear += 2.0 * rows_in * in * (3.0 * out + (shape.doubles() ? out : 0.0));
    flops.linear += 2.0 * rows_out * out * (out + 2.0 * static_cast<double>(shape.hidden));
    const auto queries = shape.in_mask_units ? layout.mask_unit_slabs(shape.level_out) : layout.clip_slabs();
    const auto keys = shape.in_mask_units ? layout.mask_unit_slabs(shape.level_in) : layout.clip_slabs();
    for (size_t i = 0; i < queries.size(); ++i) {
      flops.attention += 4.0 * out * static_cast<double>(queries[i].groups) *
                         static_cast<double>(queries[i].rows) * static_cast<double>(keys[i].rows);
    }
  }
  return flops;
}

Flops count_fusion_flops(const EncoderOptions& options, const TokenLayout& layout) {
  const auto inputs = static_cast<double>(256 * options.embed_dim + 16 * 2 * options.embed_dim);
  return {.linear = 2.0 * static_cast<double>(layout.rows(kLevels - 1)) * inputs *
                    static_cast<double>(options.width())};
}

Flops count_predictor_flops(const PredictorOptions& options, const PredictorRows& rows) {
  const auto width = static_cast<double>(options.width), depth = static_cast<double>(options.depth);
  const auto of_block = width * width * static_cast<double>(4 + 2 * options.mlp_ratio);
  Flops flops;
  for (size_t clip = 0; clip < rows.query_counts.size(); ++clip) {
    const auto context = static_cast<double>(rows.context_counts[clip]);
    const auto queries = static_cast<double>(rows.query_counts[clip]), all = context + queries;
    flops.attention += 4.0 * all * all * width * depth;
    flops.linear += 2.0 * (all * of_block * depth + context * static_cast<double>(options.input) * width +
                           queries * width * static_cast<double>(options.output));
  }
  return flops;
}

}  // namespace slim::model
