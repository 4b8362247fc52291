// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace slim::model {

/// The shape of the stage-2 encoder. Width and heads double at each of its stages 0-3.
struct EncoderOptions {
  std::string preset = "base";
  int64_t embed_dim = 64;
  int64_t heads = 1;
  std::array<int64_t, 4> stage_blocks{2, 3, 16, 3};
  int64_t mlp_ratio = 4;
  double norm_eps = 1e-6;

  int64_t blocks() const { return stage_blocks[0] + stage_blocks[1] + stage_blocks[2] + stage_blocks[3]; }
  int64_t width() const { return embed_dim * 8; }  // of the feature
};

/// `tiny` or `base`; another name is Error SB1002.
EncoderOptions encoder_preset(std::string_view name);

/// The last block of each of the stages 0-3.
std::array<int64_t, 4> stage_ends(const EncoderOptions& options);

/// What one block does.
struct BlockShape {
  int64_t dim_in = 0, dim_out = 0, heads = 0, hidden = 0;
  int level_in = 0, level_out = 0;  // levels of the layout; they differ where the block pools
  bool in_mask_units = true;        // else attention sees all rows of a clip

  bool pools() const { return level_in != level_out; }
  bool doubles() const { return dim_in != dim_out; }
  int64_t head_size() const { return dim_out / heads; }
};

/// The blocks in order. The scope of attention lags by one block, as published.
std::vector<BlockShape> block_shapes(const EncoderOptions& options);

}  // namespace slim::model
