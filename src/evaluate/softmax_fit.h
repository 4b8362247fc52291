// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "evaluate/dense.h"

namespace slim::evaluate {

/// Weights of a softmax classifier: one row a class, the bias in the last column.
struct SoftmaxWeights {
  Matrix values;  // [classes, columns + 1]
  double gradient_norm = 0;
  bool converged = false;
};

/// Minimises sum_i w_i cross-entropy_i + lambda/2 |W|^2 (biases free) over samples z [n, columns] with labels
/// 0..classes-1, from `start`, by L-BFGS to a gradient norm of 1e-8.
SoftmaxWeights fit_softmax(const Matrix& z, std::span<const int> labels,
                           std::span<const double> sample_weights, double lambda, SoftmaxWeights start);

/// Adds the bias: logits [n, classes] of samples z [n, columns].
Matrix softmax_logits(const Matrix& z, const Matrix& weights);

/// Turns each row of logits [n, classes] into probabilities.
void softmax_in_place(Matrix& logits);

}  // namespace slim::evaluate
