// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/fused_encoder.h"
#include "model/predictor.h"

namespace slim::model {

/// Frames of a final cell that are reconstructed: all four, or the first.
enum class MaeFrames { All, First };
/// `all` or `first`; anything else is Error SB1002.
MaeFrames mae_frames_from(std::string_view name);
/// Values of a final cell: 16,384 or 4,096, index ((dt*16 + dx)*16 + dy)*16 + dz.
int64_t mae_output(MaeFrames frames);

/// The masked-reconstruction objective of stage 2 and its networks.
struct Stage2MaeOptions {
  EncoderOptions encoder{};
  PredictorOptions decoder{};  // its output is set by `frames`
  bool fusion = true;
  Background background = Background::Token;
  const TokenSet* tokens = nullptr;  // the packaged set when null
  double unit_tau = 0;
  MaeFrames frames = MaeFrames::All;
  bool recompute = false;
};

/// What one micro-batch gives.
struct Stage2MaeOutput {
  at::Tensor loss_sum;  // a plain sum: divide the gradients of a step by the sum of its divisors
  at::Tensor divisor;   // scalar on the device: masked valid values
  at::Tensor context;   // [visible rows, width], detached
  int64_t masked_cells = 0;
  double loss() const;  // loss_sum / divisor; waits for the device
};

/// Encoder and decoder; no target encoder.
class Stage2Mae {
 public:
  /// Random start from the seed.
  Stage2Mae(const Stage2MaeOptions& options, uint64_t seed);
  /// Packed clips [clips, 40, tokens, 64], the voxels of each run that are valid [clips, tokens, 64] (bool;
  /// undefined = all) and the mask units of each clip that are seen. Every other mask unit is reconstructed.
  Stage2MaeOutput forward(const at::Tensor& clips, const at::Tensor& valid,
                          const std::vector<std::vector<int64_t>>& visible) const;
  Parameters parameters() const;
  void to(at::Device device, at::ScalarType type);
  const Stage2MaeOptions& options() const { return options_; }

  FusedEncoder online;
  Predictor decoder;

 private:
  Stage2MaeOptions options_;
  std::vector<int64_t> locations_;
};

}  // namespace slim::model
