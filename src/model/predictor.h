// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "model/checkpoint/encoder_config.h"
#include "model/hiera_block.h"

namespace slim::model {

/// The JEPA predictor, or the MAE decoder: the same network with another output.
struct PredictorOptions {
  int64_t input = 512;  // width of the encoder's feature
  int64_t width = 512;
  int64_t depth = 8;
  int64_t heads = 16;
  int64_t output = 512;
  int64_t mlp_ratio = 4;
  double norm_eps = 1e-6;

  PredictorShape shape() const { return {.width = width, .depth = depth, .output = output}; }
};

/// `base` (8 x 512, 16 heads), `light` (6 x 384, 12 heads; for the base encoder) or `tiny` (2 x 64, 4 heads),
/// with the encoder's width as output; another name is Error SB1002.
PredictorOptions predictor_preset(std::string_view name);

/// The rows that a predictor sees, clip by clip.
struct PredictorRows {
  std::vector<int64_t> context_counts, query_counts;  // of each clip
  std::vector<int64_t> context_cells, query_cells;    // final_cell_index of each row, clip by clip
};

/// Says what stands in cells that were not seen, from those that were. Parameter names are those of the
/// official checkpoints (`mask_token`, `decoder_*`).
class PredictorImpl : public torch::nn::Module {
 public:
  explicit PredictorImpl(PredictorOptions options);
  /// context [context rows, input], clip-major -> [query rows, output], clip-major. All rows of a clip attend
  /// to all.
  at::Tensor forward(const at::Tensor& context, const PredictorRows& rows, bool recompute = false) const;
  const PredictorOptions& options() const { return options_; }

  at::Tensor mask_token, decoder_pos_embed;  // [1, 1, width], [1, 2160, width]
  Linear decoder_embed, decoder_pred;
  std::vector<HieraBlock> blocks;  // decoder_blocks
  LayerNorm decoder_norm;

 private:
  PredictorOptions options_;
};
TORCH_MODULE(Predictor);

}  // namespace slim::model
