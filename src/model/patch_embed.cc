// SPDX-License-Identifier: Apache-2.0
#include "model/patch_embed.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include <sstream>

#include "core/error.h"
#include "model/voxel_order.h"

namespace slim::model {
PatchProjectionImpl::PatchProjectionImpl(int64_t embed_dim)
    : weight(register_parameter("weight", at::zeros({embed_dim, 1, 1, kTokenEdge, kTokenEdge, kTokenEdge}))),
      bias(register_parameter("bias", at::zeros({embed_dim}))) {}

PatchEmbedImpl::PatchEmbedImpl(int64_t embed_dim)
    : proj(register_module("proj", PatchProjection(embed_dim))) {}

at::Tensor PatchEmbedImpl::forward(const at::Tensor& clip, const TokenLayout& layout,
                                   const LayoutIndex& index) const {
  check_clip_shape(clip, layout);
  const bool packed = clip.dim() == 4, only_tokens = layout.background() == Background::Token;
  at::Tensor tokens, row;
  if (packed && only_tokens) {
    tokens = clip;
    row = index.frame * clip.size(2) + index.place;
  } else {
    tokens = packed ? cubes_from_packed(clip, layout.packed_grid_index()) : cubes_from_dense(clip);
    row = index.frame * tokens.size(2) + index.space;
  }
  const at::Tensor voxels =
      tokens.reshape({-1, kTokenVoxels}).index_select(0, row).to(proj->weight.scalar_type());
  return at::linear(voxels, proj->weight.view({-1, kTokenVoxels}), proj->bias);
}

void check_clip_shape(const at::Tensor& clip, const TokenLayout& layout) {
  const std::vector<int64_t> packed{layout.clips(), kClipFrames, layout.packed_tokens(), kTokenVoxels};
  const std::vector<int64_t> dense{layout.clips(), kClipFrames, kSlimSize, kSlimSize, kSlimSize};
  if (clip.sizes() != packed && clip.sizes() != dense) {
    std::ostringstream expected, found;
    expected << at::IntArrayRef(packed) << " or " << at::IntArrayRef(dense);
    found << clip.sizes();
    throw Error(message::kUnfitModel, "A clip does not have the shape that the layout of its tokens needs.",
                {.expected = expected.str(), .found = found.str()});
  }
}

}  // namespace slim::model
