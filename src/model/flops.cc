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

}  // namespace slim::model
