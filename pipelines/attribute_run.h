// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/saliency.h"
#include "pipelines/head.h"
#include "pipelines/model_stage.h"

namespace slim::pipelines {

/// The scalar F that is explained: the standardised number, or the logit of a class minus the mean of the
/// others'.
struct Explained {
  model::FeatureScalar scalar;
  std::string function;    // what F is, for people
  std::string class_name;  // empty for a number
  std::string units;       // of F
};
/// `chosen_class` is not looked at for a number.
Explained explained_by(const Head& head, int64_t chosen_class);

/// Largest residual of a complete attribution, and of an approximate one.
inline constexpr double kComplete = 0.05, kApproximate = 0.20;

struct AttributionSettings {
  bool path = true;                      // integrated gradients, else gradient x input
  int64_t steps = 32, most_steps = 128;  // doubled while the parts do not add up
  int64_t most_clips = 2;
  std::vector<float> baseline{};  // a frame [tokens * 64] where the path begins in every frame; empty: 0
};

/// A clip's share in F, for sidecars.
struct ClipShare {
  size_t clip = 0;  // its number in time order
  double at_clip = 0.0, at_baseline = 0.0, sum = 0.0, sum_abs = 0.0, residual = 0.0;
  int64_t steps = 0;
  std::vector<double> window_sums, window_abs_sums;  // of each window that the clip joins
};

/// Why F has its value in a run.
struct RunAttribution {
  std::vector<double> map;  // [tokens * 64], store order: sum over frames, mean over clips
  std::vector<ClipShare> clips;
  double worst_residual = 0.0;
};

/// Called with gradients taken and needed.
using Taken = std::function<void(int64_t done, int64_t total)>;

/// Attributes F to the voxels of at most most_clips clips of a run, evenly spaced. Errors SB6001 when
/// stopped, SB4002 for values that are not finite.
RunAttribution attribute_run(const LoadedModel& model, const Explained& explained, const RunClips& clips,
                             const AttributionSettings& settings, const std::atomic<bool>& stop,
                             const Taken& progress);

/// What became of the map when weights were drawn anew from the head downward.
struct SanityStep {
  std::string randomised;    // "head", "head and stage 3", ...
  double correlation = 0.0;  // Spearman's, of |map| with the trained model's; mean over seeds
};
/// The randomisation test of Adebayo et al. (2018) with 3 seeds: `trained` is the map of the model itself.
std::vector<SanityStep> sanity_of(const LoadedModel& model, const RunAttribution& trained,
                                  const RunClips& clips, AttributionSettings settings,
                                  const std::atomic<bool>& stop, const Taken& progress);

}  // namespace slim::pipelines
