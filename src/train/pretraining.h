// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "model/jepa.h"
#include "model/stage2_mae.h"
#include "train/ema.h"
#include "train/monitors.h"
#include "train/optimiser.h"

namespace slim::train {

/// What stage 2 learns from: JEPA, or masked reconstruction.
enum class Objective { Jepa, Mae };
/// `jepa` or `mae`; anything else is Error SB1002.
Objective objective_from(std::string_view name);

/// Everything that decides about the steps of stage-2 pre-training.
struct PretrainingOptions {
  Objective objective = Objective::Jepa;
  model::JepaOptions jepa{};  // encoder, predictor, fusion, background, loss
  model::MaeFrames mae_frames = model::MaeFrames::All;
  bool mae_regions = false;  // what is seen is drawn as the context of JEPA is, instead of freely
  model::RegionOptions regions{};
  int64_t masks_per_clip = 1;
  OptimiserOptions optimiser{};
  Schedule schedule{};
  double ema = 0.996;  // momentum of the target encoder at the start
  VerdictOptions verdict{};
  uint64_t seed = 0;
};

/// Clips of one micro-batch, on the device of the networks.
struct PretrainingBatch {
  at::Tensor clips;                 // packed [clips, 40, tokens, 64], float16
  at::Tensor valid{};               // [clips, tokens, 64] bool, for MAE; undefined = all
  std::vector<uint64_t> positions;  // of each clip in its epoch
};

/// Losses of a step or of a validation, read from the device.
struct PretrainingLosses {
  double loss = 0;
  std::array<double, model::kTargetRegions> regions{};  // means over rows; NaN for MAE and absent regions
};

/// One optimiser step, read from the device.
struct StepReport {
  PretrainingLosses losses{};
  double gradient_norm = 0;  // before the limit
  double rate = 0;
  std::optional<Monitors> monitors{};  // of logged JEPA steps
  Verdict verdict = Verdict::Healthy;
  bool finite = true;  // of loss and gradient norm
};

/// The steps of stage-2 pre-training: networks, optimiser, moving average, monitors. It draws masks itself,
/// as pure functions of (seed, epoch, step or position); loading clips and writing files is the trainer's.
class Pretraining {
 public:
  /// Networks with a random start on a device; bfloat16 networks keep float32 masters.
  explicit Pretraining(const PretrainingOptions& options, at::Device device = at::kCPU,
                       at::ScalarType type = at::kFloat);
  /// Forward and backward pass of a micro-batch of step `step` of the epoch (counted from 0 in the epoch);
  /// gradients add up until finish_step. `logged` steps keep their rows for the monitors.
  void accumulate(const PretrainingBatch& batch, uint64_t epoch, uint64_t step, bool logged);
  /// Divides, clips, steps, moves the target, then waits for the device and reports.
  StepReport finish_step();
  /// Adds a batch to a validation: no gradient, masks of epoch 0 and of `step` there.
  void validate(const PretrainingBatch& batch, uint64_t step);
  /// Losses over all batches since the last call.
  PretrainingLosses finish_validation();

  /// Sorted keys of a checkpoint. `exported` is what a model folder holds: the target's encoder and fusion
  /// heads (or the online ones) with the predictor, float32.
  const Parameters& online() const { return optimiser_->masters(); }
  Parameters exported(bool from_target) const;
  /// All tensors that a resumed run needs, float32: `online.KEY`, `exp_avg.KEY`, `exp_avg_sq.KEY`, `ema.KEY`.
  /// Write into them, then call `resume` with the rest of the state.
  Parameters state() const;
  void resume(int64_t steps_taken, const CollapseWatch::State& watch);
  Optimiser& optimiser() { return *optimiser_; }
  Ema* ema() { return ema_ ? &*ema_ : nullptr; }  // null for MAE
  CollapseWatch& watch() { return watch_; }
  const PretrainingOptions& options() const { return options_; }

 private:
  struct Sums {
    at::Tensor loss, divisor, regions;  // scalar, scalar, [3]
    std::array<int64_t, model::kTargetRegions> region_rows{};
    std::vector<at::Tensor> targets, predictions;
    std::vector<int64_t> cells;
  };
  at::Tensor forward(const PretrainingBatch& batch, uint64_t epoch, uint64_t step, bool logged, Sums& sums);
  at::Tensor forward_jepa(const PretrainingBatch& batch, uint64_t epoch, uint64_t step, bool logged,
                          Sums& sums);
  at::Tensor forward_mae(const PretrainingBatch& batch, uint64_t epoch, uint64_t step, Sums& sums);
  static PretrainingLosses read(const Sums& sums);

  PretrainingOptions options_;
  std::vector<int64_t> locations_;
  std::optional<model::Jepa> jepa_;
  std::optional<model::Stage2Mae> mae_;
  std::optional<Optimiser> optimiser_;
  std::optional<Ema> ema_;
  CollapseWatch watch_;
  Sums step_{}, validation_{};
};

}  // namespace slim::train
