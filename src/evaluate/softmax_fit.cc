// SPDX-License-Identifier: Apache-2.0
#include "evaluate/softmax_fit.h"

#include <algorithm>
#include <cmath>

#include "evaluate/lbfgs.h"

namespace slim::evaluate {

Matrix softmax_logits(const Matrix& z, const Matrix& weights) {
  Matrix logits(z.rows, weights.rows);
  for (int64_t i = 0; i < z.rows; ++i) {
    for (int64_t c = 0; c < weights.rows; ++c) {
      logits(i, c) = dot(z.row(i), weights.row(c), z.columns) + weights(c, z.columns);
    }
  }
  return logits;
}

void softmax_in_place(Matrix& logits) {
  for (int64_t i = 0; i < logits.rows; ++i) {
    double* row = logits.row(i);
    const double top = *std::max_element(row, row + logits.columns);
    double sum = 0;
    for (int64_t c = 0; c < logits.columns; ++c) {
      row[c] = std::exp(row[c] - top);
      sum += row[c];
    }
    for (int64_t c = 0; c < logits.columns; ++c) {
      row[c] /= sum;
    }
  }
}

SoftmaxWeights fit_softmax(const Matrix& z, std::span<const int> labels,
                           std::span<const double> sample_weights, double lambda, SoftmaxWeights start) {
  Matrix weights = std::move(start.values);
  const auto gradient = [&](std::span<const double> x, std::span<double> out) {
    std::copy(x.begin(), x.end(), weights.values.begin());
    Matrix p = softmax_logits(z, weights);
    softmax_in_place(p);
    for (int64_t c = 0; c < weights.rows; ++c) {
      double* row = out.data() + c * weights.columns;
      for (int64_t j = 0; j < z.columns; ++j) {
        row[j] = lambda * weights(c, j);
      }
      row[z.columns] = 0;
    }
    for (int64_t i = 0; i < z.rows; ++i) {
      for (int64_t c = 0; c < weights.rows; ++c) {
        const double miss = sample_weights[static_cast<size_t>(i)] *
                            (p(i, c) - (labels[static_cast<size_t>(i)] == c ? 1.0 : 0.0));
        double* row = out.data() + c * weights.columns;
        for (int64_t j = 0; j < z.columns; ++j) {
          row[j] += miss * z(i, j);
        }
        row[z.columns] += miss;
      }
    }
  };
  std::vector<double> x = weights.values;
  const LbfgsResult result = minimise_convex(x, gradient);
  weights.values = std::move(x);
  return {std::move(weights), result.gradient_norm, result.converged};
}

}  // namespace slim::evaluate
