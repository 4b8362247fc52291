// SPDX-License-Identifier: Apache-2.0
#include "model/encoder_options.h"

#include "core/error.h"

namespace slim::model {

EncoderOptions encoder_preset(std::string_view name) {
  if (name == "base") {
    return {};
  }
  if (name == "tiny") {
    return {.preset = "tiny", .embed_dim = 16, .heads = 1, .stage_blocks = {1, 1, 2, 1}};
  }
  throw Error(message::kBadValue, "There is no preset \"" + std::string(name) + "\".",
              {.expected = "tiny or base"});
}

std::array<int64_t, 4> stage_ends(const EncoderOptions& options) {
  std::array<int64_t, 4> ends{};
  int64_t blocks = 0;
  for (size_t stage = 0; stage < ends.size(); ++stage) {
    blocks += options.stage_blocks[stage];
    ends[stage] = blocks - 1;
  }
  return ends;
}

std::vector<BlockShape> block_shapes(const EncoderOptions& options) {
  std::vector<BlockShape> shapes;
  int64_t dim = options.embed_dim, heads = options.heads;
  int level = 0;
  size_t previous_stage = 0;
  for (size_t stage = 0; stage < options.stage_blocks.size(); ++stage) {
    for (int64_t i = 0; i < options.stage_blocks[stage]; ++i) {
      const bool first = stage > 0 && i == 0;
      BlockShape shape{.dim_in = dim, .dim_out = first ? 2 * dim : dim, .heads = first ? 2 * heads : heads};
      shape.hidden = options.mlp_ratio * shape.dim_out;
      shape.level_in = level;
      shape.level_out = first && stage < 3 ? level + 1 : level;
      shape.in_mask_units = previous_stage < 2;
      dim = shape.dim_out;
      heads = shape.heads;
      level = shape.level_out;
      previous_stage = stage;
      shapes.push_back(shape);
    }
  }
  return shapes;
}

}  // namespace slim::model
