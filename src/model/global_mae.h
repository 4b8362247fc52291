// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "core/seed.h"
#include "model/global_mae_options.h"
#include "model/layers.h"
#include "model/mask_unit_attention.h"

namespace slim::model {

/// Frames [first, first + frames) of a run's ROI x time matrix.
struct RoiPiece {
  std::span<const float> matrix;        // [ROIs][matrix_frames], standardised, 0 in invalid rows
  std::span<const uint8_t> valid_rois;  // [ROIs]
  int64_t matrix_frames = 0;
  int64_t first = 0, frames = 0;
};

// Note [Stage-1 tokens]. Token (g, j) of a piece holds ROIs 32 g .. 32 g + 31 in window j, entry (ROI in
// group) * L + frame in window. Entries that do not exist (padding, invalid rows, windows after the end of a
// shorter piece) are 0. A token without any existing entry is no key of the attention and no part of the
// loss.
/// Pieces as the network reads them (Note [Stage-1 tokens]).
struct RoiBatch {
  at::Tensor patches;  // [pieces, groups, windows, 32 L]
  at::Tensor valid;    // the same shape and type, 1 where an entry exists
  at::Tensor present;  // [pieces, groups, windows] bool: tokens with an entry
  bool all_present = false;

  RoiBatch to(at::Device device, at::ScalarType type) const;
};

/// Cuts pieces into tokens, float32 on the CPU; `windows` is that of the longest piece. Error SB2015 for a
/// piece without any entry, SB4002 where the ROIs are not those of `options`.
RoiBatch make_roi_batch(const GlobalMaeOptions& options, std::span<const RoiPiece> pieces);

/// Pre-norm transformer block of constant width: attention and MLP, no pooling.
class GlobalMaeBlockImpl : public torch::nn::Module {
 public:
  explicit GlobalMaeBlockImpl(const GlobalMaeOptions& options);
  /// x [pieces, tokens, width]; keys [pieces, 1, 1, tokens] bool, or undefined when every token is a key.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& keys) const;

  LayerNorm norm1, norm2;
  Attention attn;
  Mlp mlp;

 private:
  int64_t heads_;
};
TORCH_MODULE(GlobalMaeBlock);

/// The stage-1 network: a ViT over ROI x time that reconstructs masked tokens. Parameters have the names of
/// global_mae_tensors without their prefix.
class GlobalMaeImpl : public torch::nn::Module {
 public:
  explicit GlobalMaeImpl(GlobalMaeOptions options);
  /// Reconstruction [pieces, groups, windows, 32 L]; masked [pieces, groups, windows] bool. Tokens see all
  /// tokens of their piece, masked ones included.
  at::Tensor forward(const RoiBatch& batch, const at::Tensor& masked) const;
  const GlobalMaeOptions& options() const { return options_; }

  at::Tensor mask_token, pos_embed_roi;
  Linear patch_embed, decoder;
  LayerNorm norm;
  std::vector<GlobalMaeBlock> blocks;

 private:
  GlobalMaeOptions options_;
};
TORCH_MODULE(GlobalMae);

/// Absolute errors over the existing entries of masked tokens, as sums, so that micro-batches add up.
struct MaskedError {
  at::Tensor error;    // sum |x - reconstruction|, differentiable
  at::Tensor zero;     // sum |x|: the error of predicting 0
  at::Tensor entries;  // their number

  /// The SimMIM loss: mean absolute error.
  at::Tensor loss() const { return error / entries; }
  /// 1 - loss / loss of predicting 0; waits for the device.
  double skill() const;
};
MaskedError masked_error(const at::Tensor& reconstruction, const RoiBatch& batch, const at::Tensor& masked);

/// Draws the masked tokens of one piece, [groups * windows] bytes in (group, window) order; `present` says
/// which tokens exist and `windows` how many of them the piece has. With probability 0.5 floor(0.6 n) of the
/// n present tokens; 0.4 whole windows, 1..floor(W/2) stay visible; 0.1 whole windows, 1..max(1, floor(W/4))
/// are masked. Error SB9001 for fewer than 2 windows.
std::vector<uint8_t> draw_token_mask(std::span<const uint8_t> present, int64_t windows, Stream stream);

/// Masks of a batch [pieces, groups, windows] bool on the CPU; piece i draws from stream (seed, "mae_mask",
/// epoch, first_position + i).
at::Tensor draw_token_masks(const RoiBatch& batch, uint64_t seed, uint64_t epoch, uint64_t first_position);

/// Random start: as init_parameters of model/initialise.h, mask token normal(0, 0.02) too.
void init_global_mae(GlobalMae& network, uint64_t seed);

/// The network of a weights file, float32 on the CPU, in evaluation mode. Error SB4002 for a missing or
/// misshapen tensor.
GlobalMae load_global_mae(const SafetensorsFile& weights, const GlobalMaeOptions& options);

/// SHA-256 over names, shapes and float32 values: what scores of these weights are cached under.
std::string global_mae_sha256(const GlobalMae& network);

}  // namespace slim::model
