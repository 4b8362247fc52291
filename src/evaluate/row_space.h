// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evaluate/dense.h"

namespace slim::evaluate {

/// Features of n samples, [n, columns] row by row; a view.
struct Samples {
  std::span<const double> values;
  int64_t columns = 0;

  int64_t rows() const { return columns > 0 ? static_cast<int64_t>(values.size()) / columns : 0; }
  const double* row(int64_t i) const { return values.data() + i * columns; }
};

/// Mean and 1 / population SD of each column; 0 where the SD is below 1e-12, which drops the column.
struct Standardiser {
  std::vector<double> mean, inverse_sd;
  int64_t kept = 0;
};
Standardiser standardiser_of(const Samples& x, std::span<const int64_t> rows);

// Note [Row space]. A penalised linear fit has its weights in the span of its n standardised training rows.
// If there are more columns than rows, it is done in coordinates of that span: with K = X X^T = Z Z^T
// (pivoted Cholesky, Z [n, r]), Z are the samples in an orthonormal basis of the span, so losses and
// penalties are equal, and weights c there stand for X^T a here, where Z^T a = c. The n x p matrix is never
// copied: K is summed over blocks of columns.

/// Samples in the coordinates in which the fit is made (Note [Row space]).
struct Reduced {
  Matrix fitted;  // [n_fit, r]
  Matrix held;    // [n_held, r]
  std::vector<int64_t>
      pivots;  // rows of `fitted` that span the space; empty = standardised columns themselves
};
Reduced reduce(const Samples& x, const Standardiser& standardiser, std::span<const int64_t> fit_rows,
               std::span<const int64_t> held_rows);

/// Weights [outputs, columns] for standardised features from weights [outputs, >= r] of reduced coordinates.
Matrix expand(const Reduced& reduced, const Samples& x, const Standardiser& standardiser,
              std::span<const int64_t> fit_rows, const Matrix& weights);

}  // namespace slim::evaluate
