// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace slim::evaluate {

struct LbfgsOptions {
  double gradient_norm = 1e-8;
  int iterations = 5000;
  int memory = 20;
};

struct LbfgsResult {
  int iterations = 0;
  double gradient_norm = 0;
  bool converged = false;
};

/// Minimises a convex differentiable function, given its gradient alone, from the start in x. The line search
/// looks at slopes only: function values lose their digits long before a gradient norm of 1e-8 is reached.
LbfgsResult minimise_convex(
    std::vector<double>& x,
    const std::function<void(std::span<const double> x, std::span<double> gradient)>& gradient,
    const LbfgsOptions& options = {});

}  // namespace slim::evaluate
