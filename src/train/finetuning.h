// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/hiera_encoder.h"
#include "model/parameters.h"
#include "train/optimiser.h"
#include "train/schedule.h"

namespace slim::train {

/// Everything that decides about the steps of fine-tuning.
struct FinetuningOptions {
  int64_t classes = 0;                  // 0: one standardised number
  std::vector<double> class_weights{};  // of each class in the loss; empty = 1
  model::Background background = model::Background::Token;
  const TokenSet* tokens = nullptr;  // the packaged set when null
  double drop_path = 0.1;
  bool recompute = false;  // less memory, slower
  OptimiserOptions optimiser{.beta1 = 0.9, .beta2 = 0.999, .groups = {.layer_decay = 0.75}};
  Schedule schedule{}, head_schedule{};
  uint64_t seed = 1;

  int64_t outputs() const { return classes > 0 ? classes : 1; }
};

/// Clips of one micro-batch on the device of the network, and what is to be said of each.
struct FinetuningBatch {
  at::Tensor clips;                 // packed [clips, 40, tokens, 64], float16
  std::vector<double> truth;        // index of the class, or the standardised number
  std::vector<uint64_t> positions;  // of each clip in its epoch
};

/// One optimiser step, read from the device.
struct FinetuningReport {
  double loss = 0;                 // mean over the clips
  double gradient_norm = 0;        // before the limit
  double rate = 0, head_rate = 0;  // rate of the last layer, and of the head
  bool finite = true;              // of loss and gradient norm
};

/// Losses of outputs [clips, outputs]: softmax cross-entropy of logits times the weight of the true class, or
/// the squared error of standardised numbers. [clips], differentiable.
at::Tensor head_losses(const at::Tensor& outputs, std::span<const double> truth,
                       const FinetuningOptions& options);

/// The steps of fine-tuning: encoder and head learn together. Loading clips, validation and files are the
/// trainer's. Drops of paths are pure functions of (seed, epoch, position).
class Finetuning {
 public:
  /// Takes the encoder's weights as they are; the head starts at random (seed). bfloat16 encoders keep
  /// float32 masters; the head is always float32.
  Finetuning(const FinetuningOptions& options, model::HieraEncoder encoder, at::Device device = at::kCPU,
             at::ScalarType type = at::kFloat);
  /// Forward and backward pass of a micro-batch; gradients add up until finish_step.
  void accumulate(const FinetuningBatch& batch, uint64_t epoch);
  /// Divides by the number of clips, clips, steps, waits for the device and reports.
  FinetuningReport finish_step();
  /// What the head says of clips, without drops and gradient: [clips, outputs], float32 on the CPU.
  at::Tensor predict(const at::Tensor& clips) const;

  /// Encoder and `head.projection.*` under their names in a model folder, float32.
  const Parameters& exported() const { return optimiser_->masters(); }
  /// All tensors that a resumed run needs: `online.KEY`, `exp_avg.KEY`, `exp_avg_sq.KEY`. Write into them,
  /// then call `resume`.
  Parameters state() const;
  void resume(int64_t steps_taken);

 private:
  at::Tensor forward(const at::Tensor& clips, const model::DropPath& drop_path) const;

  FinetuningOptions options_;
  at::Device device_;
  model::HieraEncoder encoder_;
  at::Tensor head_weight_, head_bias_;
  std::optional<Optimiser> optimiser_;
  at::Tensor loss_;  // sum over the clips of the step
  int64_t clips_ = 0;
};

}  // namespace slim::train
