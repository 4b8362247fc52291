// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/layers.h"
#include "model/layout_index.h"
#include "model/token_layout.h"

namespace slim::model {

/// The weights of a cube's projection under their official names and shapes: `weight` [E, 1, 1, 4, 4, 4],
/// `bias` [E].
class PatchProjectionImpl : public torch::nn::Module {
 public:
  explicit PatchProjectionImpl(int64_t embed_dim);
  at::Tensor weight, bias;
};
TORCH_MODULE(PatchProjection);

/// Tokens to rows of stage 0.
class PatchEmbedImpl : public torch::nn::Module {
 public:
  explicit PatchEmbedImpl(int64_t embed_dim);
  /// Projects the 64 voxels of every row that exists: packed [clips, 40, tokens, 64] or dense [clips, 40, 96,
  /// 96, 96]
  /// -> [rows(0), E], location-major. Voxels without a row are never used.
  at::Tensor forward(const at::Tensor& clip, const TokenLayout& layout, const LayoutIndex& index) const;

  PatchProjection proj;
};
TORCH_MODULE(PatchEmbed);

/// Error SB4002 unless a clip is packed [clips, 40, tokens, 64] or dense [clips, 40, 96, 96, 96] as the
/// layout says.
void check_clip_shape(const at::Tensor& clip, const TokenLayout& layout);

}  // namespace slim::model
