// SPDX-License-Identifier: Apache-2.0
#include "evaluate/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "evaluate/dense.h"

namespace slim::evaluate {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  return evaluate::dot(a.data(), b.data(), static_cast<int64_t>(a.size()));
}

struct Pair {
  Vector step, change;  // of x and of the gradient
  double scale = 0;     // 1 / (step . change)
};

/// The two-loop recursion: minus the approximate inverse Hessian times the gradient.
Vector direction(const Vector& gradient, const std::deque<Pair>& pairs) {
  Vector d = gradient;
  std::vector<double> weights(pairs.size());
  for (size_t k = pairs.size(); k-- > 0;) {
    weights[k] = pairs[k].scale * dot(pairs[k].step, d);
    for (size_t i = 0; i < d.size(); ++i) {
      d[i] -= weights[k] * pairs[k].change[i];
    }
  }
  const double size = pairs.empty()
                          ? 1 / std::max(1.0, std::sqrt(dot(gradient, gradient)))
                          : 1 / (pairs.back().scale * dot(pairs.back().change, pairs.back().change));
  for (double& value : d) {
    value *= size;
  }
  for (size_t k = 0; k < pairs.size(); ++k) {
    const double weight = weights[k] - pairs[k].scale * dot(pairs[k].change, d);
    for (size_t i = 0; i < d.size(); ++i) {
      d[i] += weight * pairs[k].step[i];
    }
  }
  for (double& value : d) {
    value = -value;
  }
  return d;
}

}  // namespace

LbfgsResult minimise_convex(std::vector<double>& x,
                            const std::function<void(std::span<const double>, std::span<double>)>& gradient,
                            const LbfgsOptions& options) {
  Vector g(x.size()), trial(x.size()), trial_g(x.size());
  std::deque<Pair> pairs;
  gradient(x, g);
  LbfgsResult result;
  for (;; ++result.iterations) {
    result.gradient_norm = std::sqrt(dot(g, g));
    result.converged = result.gradient_norm <= options.gradient_norm;
    if (result.converged || result.iterations == options.iterations || !std::isfinite(result.gradient_norm)) {
      return result;
    }
    Vector d = direction(g, pairs);
    double start_slope = dot(g, d);
    if (!(start_slope < 0)) {  // rounding spoilt the pairs: begin anew from the gradient
      pairs.clear();
      d = direction(g, pairs);
      start_slope = dot(g, d);
    }
    // A convex function's slope along d grows: its zero is bracketed and approached by secants.
    double step = 1, low = 0, low_slope = start_slope, high = 0, high_slope = 0;
    for (int tries = 0; tries < 60; ++tries) {
      for (size_t i = 0; i < x.size(); ++i) {
        trial[i] = x[i] + step * d[i];
      }
      gradient(trial, trial_g);
      const double slope = dot(trial_g, d);
      if (std::abs(slope) <= 0.5 * std::abs(start_slope)) {
        break;
      }
      if (slope < 0) {
        low = step;
        low_slope = slope;
      } else {
        high = step;
        high_slope = slope;
      }
      if (high == 0) {
        step = std::clamp(slope > start_slope ? step * start_slope / (start_slope - slope) : 4 * step,
                          1.5 * step, 10 * step);
      } else {
        const double secant = low + (high - low) * low_slope / (low_slope - high_slope);
        step = std::clamp(secant, low + 0.1 * (high - low), low + 0.9 * (high - low));
      }
    }
    Pair pair{Vector(x.size()), Vector(x.size()), 0};
    for (size_t i = 0; i < x.size(); ++i) {
      pair.step[i] = trial[i] - x[i];
      pair.change[i] = trial_g[i] - g[i];
    }
    const double curvature = dot(pair.step, pair.change);
    if (curvature > 0) {
      pair.scale = 1 / curvature;
      pairs.push_back(std::move(pair));
      if (pairs.size() > static_cast<size_t>(options.memory)) {
        pairs.pop_front();
      }
    }
    x.swap(trial);
    g.swap(trial_g);
  }
}

}  // namespace slim::evaluate
