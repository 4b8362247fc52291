// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace slim::train {

/// What shows a collapse of the representation; NaN where undefined.
struct Monitors {
  double target_std = 0;      // mean over channels of the SD over rows
  double predicted_std = 0;   // the same of the predictions
  double cosine = 0;          // mean over pairs of rows
  double effective_rank = 0;  // exp of the entropy of the singular values of the centred rows
  double input_share = 0;     // variance that the cell does not explain; NaN unless two clips share a cell
};

/// Rows that are looked at, at most.
inline constexpr int64_t kMonitoredRows = 2048;

/// Monitors of target rows [n, C] and predictions [n, C], of which at most 2,048, evenly strided, are used.
/// cells[i] names the final cell of row i; rows of one cell come from different clips. In float64; waits for
/// the device.
Monitors monitor_rows(const at::Tensor& targets, const at::Tensor& predictions,
                      const std::vector<int64_t>& cells);

enum class Verdict { Healthy, Narrow, Collapsed };
std::string_view name_of(Verdict verdict);  // healthy, narrow, collapsed

/// When monitors are alarming.
struct VerdictOptions {
  int64_t width = 512;       // C
  int64_t warmup_steps = 0;  // `narrow` is not said before
  int64_t patience = 100;    // consecutive logged steps until `collapsed` (`tiny`: 20)
};

/// Follows the monitors of logged steps. `collapsed` (for good) after `patience` consecutive steps with
/// target_std < 1e-3 or input_share < 1e-4; else `narrow` when the last step after the warm-up shows cosine >
/// 0.95, effective_rank < 0.02 C, input_share < 0.01 or predicted_std < 0.05; else `healthy`.
class CollapseWatch {
 public:
  explicit CollapseWatch(const VerdictOptions& options) : options_(options) {}
  Verdict add(int64_t step, const Monitors& monitors);
  Verdict verdict() const;

  /// For checkpoints.
  struct State {
    int64_t consecutive = 0;
    bool narrow = false;
  };
  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  VerdictOptions options_;
  State state_;
};

}  // namespace slim::train
