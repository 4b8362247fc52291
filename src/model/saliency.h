// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "model/hiera_encoder.h"

namespace slim::model {

/// A differentiable number of each clip: float32 [clips, ...] -> [clips]. Clips do not see each other.
using ClipScalar = std::function<at::Tensor(const at::Tensor& clips)>;

/// Why a scalar F has its value on a clip x: a part for each value of the clip.
struct Attribution {
  at::Tensor values;                        // A, of the clip's shape, float32 on the CPU
  double at_clip = 0.0, at_baseline = 0.0;  // F(x), F(b)
  double sum = 0.0, sum_abs = 0.0;          // of A, of |A|
  int64_t steps = 0;                        // gradients that A was made of

  /// |sum A - (F(x) - F(b))| / max(|F(x) - F(b)|, 1e-6): 0 when the parts add up to the whole.
  double residual() const;
};

/// How the path from the baseline to the clip is cut.
struct IntgradOptions {
  int64_t steps = 32;
  int64_t most_steps = 128;  // steps are doubled up to here (or to `steps`) while the residual is ...
  double complete = 0.05;    // ... above this
  int64_t at_once = 1;       // points of the path in one batch
  at::Tensor baseline{};     // b, of the clip's shape; undefined: 0
  /// Called after every batch with the gradients taken and those known to be needed; may throw to stop.
  std::function<void(int64_t done, int64_t total)> watch{};
};

/// Integrated gradients (Sundararajan 2017) from a baseline b: A = (x - b) * mean over alpha in 0..1 of dF/dx
/// at b + alpha (x - b), for a clip [...] without its batch dimension, on the device of F. The n points of
/// the path lie closest near b (Note [Path]).
Attribution integrated_gradients(const ClipScalar& scalar, const at::Tensor& clip,
                                 const IntgradOptions& options = {});

/// A = x * dF/dx at x; F(b) is F(0).
Attribution gradient_times_input(const ClipScalar& scalar, const at::Tensor& clip);

/// A linear function of the encoder's feature.
struct FeatureScalar {
  std::vector<float> weights;  // [width]
  double offset = 0.0;
};

/// weights . feature + offset of packed clips [clips, 40, tokens, 64]; `layout` says which tokens exist (its
/// number of clips is not looked at). The encoder's parameters are told to need no gradient: only the clip's
/// is wanted.
ClipScalar scalar_of_clips(const HieraEncoder& encoder, const LayoutOptions& layout,
                           const FeatureScalar& scalar);

/// A copy of an encoder whose stages 3, 2, ... down to `stage` have random weights; with stage 3 goes the
/// last norm, with stage 0 the embedding. 4 = all as it was.
HieraEncoder randomised_down_to(const HieraEncoder& encoder, int stage, uint64_t seed);

}  // namespace slim::model
