// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/fused_encoder.h"
#include "model/predictor.h"
#include "model/regions.h"

namespace slim::model {

/// What the target encoder sees: the target mask units alone, or the whole clip.
enum class TargetInput { Targets, Full };
/// `targets` or `full`; anything else is Error SB1002.
TargetInput target_input_from(std::string_view name);

/// l(a) = a^2 / 2 below 1, |a| - 1/2 above (SmoothL1), or a^2 (Mse).
enum class RowLoss { SmoothL1, Mse };
/// `smooth_l1` or `mse`; anything else is Error SB1002.
RowLoss row_loss_from(std::string_view name);

/// The JEPA objective and its networks.
struct JepaOptions {
  EncoderOptions encoder{};
  PredictorOptions predictor{};
  bool fusion = true;
  Background background = Background::Token;
  const TokenSet* tokens = nullptr;  // the packaged set when null
  double unit_tau = 0;
  TargetInput target_input = TargetInput::Targets;
  RowLoss loss = RowLoss::SmoothL1;
  bool balance_regions = false;                                // every region of every clip counts alike
  std::array<double, kTargetRegions> region_weights{1, 1, 1};  // 0: encoded, not predicted
  bool recompute = false;                                      // see ForwardOptions
};

/// What one micro-batch gives. Everything but `loss_sum` is detached.
struct JepaOutput {
  at::Tensor loss_sum;      // a plain sum: divide the gradients of a step by the sum of its divisors
  double divisor = 0;       // plain: width x weighted target rows; balanced: clips
  at::Tensor region_means;  // [clips, 3], n/a (NaN) for a region of weight 0
  at::Tensor region_sums;   // [3], over rows, of the mean over channels
  std::array<int64_t, kTargetRegions> region_rows{};
  at::Tensor targets, predictions;  // [rows, width], clip-major
  at::Tensor context;               // [context rows, width], clip-major
  std::vector<RowCell> target_cells, context_cells;
  double loss() const;  // loss_sum / divisor; waits for the device
};

/// Online encoder and predictor, and the target encoder, whose parameters never get a gradient.
class Jepa {
 public:
  /// Random start from the seed; the target is a copy of the online encoder. Error SB1002 for weights that
  /// are negative or all 0.
  Jepa(const JepaOptions& options, uint64_t seed);
  /// Packed clips [clips, 40, tokens, 64] or dense ones, and the regions of each: a multiple of clips, those
  /// of clip 0 first (masks_per_clip). loss_sum.backward() reaches the online parameters.
  JepaOutput forward(const at::Tensor& clips, const std::vector<Regions>& regions) const;
  /// Encoder, fusion heads and predictor, under the names of a checkpoint.
  Parameters online_parameters() const;
  /// Encoder and fusion heads of the target.
  Parameters target_parameters() const;
  /// Moves and casts the networks. Call before parameters are handed out.
  void to(at::Device device, at::ScalarType type);
  const JepaOptions& options() const { return options_; }

  FusedEncoder online, target;
  Predictor predictor;

 private:
  at::Tensor target_rows(const at::Tensor& clips, const std::vector<Regions>& regions,
                         const std::vector<RowCell>& wanted) const;

  JepaOptions options_;
};

}  // namespace slim::model
