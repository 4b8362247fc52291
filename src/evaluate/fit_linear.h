// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "evaluate/dense.h"
#include "evaluate/row_space.h"

namespace slim::evaluate {

/// What is to be predicted: numbers in the target's units, or class indices 0..classes-1.
struct Response {
  int classes = 0;  // 0 = numbers
  std::vector<double> values;
};

struct FitOptions {
  bool balanced = false;  // a sample of class c weighs n / (classes n_c)
  /// Penalties tried, times the number of kept columns.
  std::vector<double> lambda_per_column{1e-4, 1e-3, 1e-2, 1e-1, 1, 1e1, 1e2, 1e3};
};

/// A penalty and its score in the inner folds: mean squared error in squared units, or mean log-loss.
struct TriedPenalty {
  double lambda_per_column = 0, score = 0;
};

/// A linear map from raw features to logits (classes) or to the standardised number.
struct LinearFit {
  int classes = 0;
  Matrix weight{};                        // [max(1, classes), columns]
  std::vector<double> bias;               // [max(1, classes)]
  double target_mean = 0, target_sd = 1;  // numbers: of the fitted samples, population SD
  double lambda = 0;
  int64_t columns_kept = 0;
  bool converged = true;  // gradient norm of 1e-8 reached
  std::vector<TriedPenalty> tried;
};

/// The penalised fit of all samples x [n, p] for one penalty. Features are standardised by mean and
/// population SD (SD below 1e-12: dropped), then: numbers (standardised) minimise sum (y - Xw - b)^2 + lambda
/// |w|^2; classes minimise the sum of softmax cross-entropy + lambda/2 |W|^2, one row a class. Error SB3002
/// when a class has no sample, SB2015 for values that are not finite.
LinearFit fit_linear_at(const Samples& x, const Response& y, double lambda_per_column,
                        const FitOptions& options = {});

/// The same with the penalty that is best over inner folds (one number a sample, any order; ties take the
/// larger penalty), refitted on all samples. Error SB3002 when a class is missing from the training part of
/// an inner fold.
LinearFit fit_linear(const Samples& x, const Response& y, std::span<const int> inner_fold,
                     const FitOptions& options = {});

/// Logits [n, classes], or standardised numbers [n, 1], of raw features.
Matrix apply_linear(const LinearFit& fit, const Samples& x);
/// Probabilities [n, classes], or numbers [n, 1] in the target's units.
Matrix predict_linear(const LinearFit& fit, const Samples& x);

}  // namespace slim::evaluate
