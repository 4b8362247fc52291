// SPDX-License-Identifier: Apache-2.0
#include "model/saliency.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "model/initialise.h"
#include "model/parameters.h"

namespace slim::model {
namespace {

constexpr double kSmallestDifference = 1e-6;  // below, a residual would be a ratio of rounding errors

/// dF/dx at each of a batch of points.
at::Tensor gradients_at(const ClipScalar& scalar, const at::Tensor& points) {
  const at::AutoGradMode with_gradients(true);
  const at::Tensor leaf = points.detach().set_requires_grad(true);
  scalar(leaf).sum().backward();
  return leaf.grad();
}

/// A point alpha of the path from the baseline (alpha = 0) to the clip (1), and its share in the mean over
/// the path.
struct PathPoint {
  double alpha, share;
};

// Note [Path]. Right behind the embedding stands a LayerNorm: from 0, a clip of a twentieth of its values
// already looks nearly like the whole clip, and F changes most near alpha = 0. So alpha = u^3, with the nodes
// and weights of Gauss and Legendre in u: fine steps near 0, and exact for polynomials in alpha (of degree d
// where 3d + 2 < 2n).
std::vector<PathPoint> path_points(int64_t n) {
  const auto degree = static_cast<unsigned>(n);
  std::vector<PathPoint> points;
  double sum = 0.0;
  for (int64_t j = 0; j < n; ++j) {
    double x = std::cos(std::numbers::pi * (static_cast<double>(j) + 0.75) / (static_cast<double>(n) + 0.5));
    double slope = 0.0;
    for (int round = 0; round < 20; ++round) {  // Newton, from a guess that leads to the j-th root
      const double value = std::legendre(degree, x);
      slope = static_cast<double>(n) * (x * value - std::legendre(degree - 1, x)) / (x * x - 1.0);
      x -= value / slope;
    }
    const double u = (1.0 + x) / 2.0;
    points.push_back({u * u * u, 3.0 * u * u / ((1.0 - x * x) * slope * slope)});
    sum += points.back().share;
  }
  for (PathPoint& point : points) {
    point.share /= sum;  // exactly a mean, for n = 1 too
  }
  return points;
}

/// Mean over the path of dF/dx, from n points of it (Note [Path]).
at::Tensor mean_gradient(const ClipScalar& scalar, const at::Tensor& baseline, const at::Tensor& way,
                         int64_t n, int64_t at_once, const std::function<void(int64_t)>& watch) {
  const std::vector<PathPoint> path = path_points(n);
  at::Tensor mean = at::zeros_like(way);
  for (int64_t first = 0; first < n; first += at_once) {
    const int64_t count = std::min(at_once, n - first);
    std::vector<at::Tensor> points;
    for (int64_t j = first; j < first + count; ++j) {
      points.push_back(baseline + way * path[static_cast<size_t>(j)].alpha);
    }
    const at::Tensor gradients = gradients_at(scalar, at::stack(points));
    for (int64_t j = 0; j < count; ++j) {
      mean.add_(gradients[j], path[static_cast<size_t>(first + j)].share);
    }
    watch(first + count);
  }
  return mean;
}

Attribution attribution(const at::Tensor& values, double at_clip, double at_baseline, int64_t steps) {
  return {.values = values.to(at::kCPU, at::kFloat).contiguous(),
          .at_clip = at_clip,
          .at_baseline = at_baseline,
          .sum = values.sum(at::kDouble).item<double>(),
          .sum_abs = values.abs().sum(at::kDouble).item<double>(),
          .steps = steps};
}

/// F of one point, by the faster path of inference.
double value_at(const ClipScalar& scalar, const at::Tensor& clip) {
  const at::NoGradGuard no_gradient;
  return scalar(clip.unsqueeze(0)).item<double>();
}

/// The stage (0..3) that a parameter of the encoder belongs to.
int stage_of(const std::string& key, const EncoderOptions& options) {
  constexpr std::string_view kBlocks = "blocks.";
  if (key.starts_with("encoder_norm")) {
    return 3;
  }
  if (!key.starts_with(kBlocks)) {
    return 0;
  }
  int64_t block = 0;
  std::from_chars(key.data() + kBlocks.size(), key.data() + key.size(), block);
  const auto ends = stage_ends(options);
  return static_cast<int>(std::lower_bound(ends.begin(), ends.end(), block) - ends.begin());
}

}  // namespace

double Attribution::residual() const {
  const double whole = at_clip - at_baseline;
  return std::fabs(sum - whole) / std::max(std::fabs(whole), kSmallestDifference);
}

Attribution integrated_gradients(const ClipScalar& scalar, const at::Tensor& clip,
                                 const IntgradOptions& options) {
  const at::Tensor x = clip.to(at::kFloat);
  const at::Tensor baseline = options.baseline.defined() ? options.baseline : at::zeros_like(x);
  const at::Tensor way = x - baseline;
  const double at_clip = value_at(scalar, x), at_baseline = value_at(scalar, baseline);
  const int64_t most = std::max(options.steps, options.most_steps);
  int64_t before = 0;  // gradients of coarser cuts
  for (int64_t n = options.steps;; n = std::min(2 * n, most)) {
    const at::Tensor gradient = mean_gradient(scalar, baseline, way, n, options.at_once, [&](int64_t done) {
      if (options.watch) {
        options.watch(before + done, before + n);
      }
    });
    before += n;
    const Attribution result = attribution(way * gradient, at_clip, at_baseline, n);
    if (result.residual() <= options.complete || n == most) {
      return result;
    }
  }
}

Attribution gradient_times_input(const ClipScalar& scalar, const at::Tensor& clip) {
  const at::Tensor x = clip.to(at::kFloat);
  return attribution(x * gradients_at(scalar, x.unsqueeze(0))[0], value_at(scalar, x),
                     value_at(scalar, at::zeros_like(x)), 1);
}

ClipScalar scalar_of_clips(const HieraEncoder& encoder, const LayoutOptions& layout,
                           const FeatureScalar& scalar) {
  for (const at::Tensor& parameter : encoder->parameters()) {
    parameter.set_requires_grad(false);
  }
  const at::Tensor weights = at::from_blob(const_cast<float*>(scalar.weights.data()),
                                           {static_cast<int64_t>(scalar.weights.size())}, at::kFloat)
                                 .clone()
                                 .to(encoder->encoder_norm->weight.device());
  return [encoder, weights, options = layout, offset = scalar.offset](const at::Tensor& clips) mutable {
    options.clips = clips.size(0);
    return encoder->forward(clips, TokenLayout(options)).pooled.mv(weights) + offset;
  };
}

HieraEncoder randomised_down_to(const HieraEncoder& encoder, int stage, uint64_t seed) {
  HieraEncoder copy(encoder->options());
  init_parameters(copy, seed);
  Parameters from, kept;
  add_parameters(from, *encoder);
  add_parameters(kept, *copy);
  std::erase_if(kept, [&](const auto& item) { return stage_of(item.first, encoder->options()) >= stage; });
  copy_values(from, kept);
  copy->to(encoder->encoder_norm->weight.device(), encoder->encoder_norm->weight.scalar_type());
  copy->eval();
  return copy;
}

}  // namespace slim::model
