// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/drop_path.h"
#include "model/hiera_block.h"
#include "model/patch_embed.h"

namespace slim::model {

/// Called with "embedding", "block00", "block01", ... and the rows after it. Rows lie as `cells` says.
using RowWatcher =
    std::function<void(const std::string& name, const at::Tensor& rows, const std::vector<RowCell>& cells)>;

/// "block00", "block01", ...
std::string block_name(size_t block);

/// What a forward pass gives beside the feature.
struct ForwardOptions {
  bool rows = false;        // keep the final rows
  bool stage_rows = false;  // keep the rows at the ends of stages 0 and 1
  bool pooled = true;       // make the feature
  bool recompute = false;  // keep only the rows between blocks for the backward pass, which runs blocks again
  DropPath drop_path{};    // with gradients only
  RowWatcher watch{};      // costs time and memory
};

/// The feature of every clip, and the rows that were asked for.
struct EncoderOutput {
  at::Tensor pooled;  // [clips, width], float32 (float64 for a double model)
  at::Tensor rows;    // [rows(2), width] before mean and norm, clip-major: cells in layout.final_cells()
  std::array<at::Tensor, 2> stage_rows;  // [rows(0), E], [rows(1), 2E], location-major
};

/// The stage-2 encoder: 4-D Hiera over the tokens that a layout says exist. Parameter names are those of the
/// official checkpoints.
class HieraEncoderImpl : public torch::nn::Module {
 public:
  explicit HieraEncoderImpl(EncoderOptions options);
  /// Encodes packed tokens [clips, 40, tokens, 64] or dense clips [clips, 40, 96, 96, 96] (float16, bfloat16
  /// or float32, z-scores). Error SB4002 when the shape is not the layout's. Gradients flow; without gradient
  /// mode a float32 model on the CPU takes a faster path that is equal to 1e-5.
  EncoderOutput forward(const at::Tensor& clip, const TokenLayout& layout,
                        const ForwardOptions& options = {}) const;
  const EncoderOptions& options() const { return options_; }

  at::Tensor pos_embed_spatial, pos_embed_temporal;  // [1, 13824, E], [1, 40, E]
  PatchEmbed patch_embed;
  std::vector<HieraBlock> blocks;
  LayerNorm encoder_norm;

 private:
  at::Tensor final_rows(const at::Tensor& clip, const TokenLayout& layout, const ForwardOptions& options,
                        std::array<at::Tensor, 2>& stage_rows) const;
  at::Tensor embed(const at::Tensor& clip, const TokenLayout& layout, const LayoutIndex& index) const;

  EncoderOptions options_;
};
TORCH_MODULE(HieraEncoder);

}  // namespace slim::model
