// SPDX-License-Identifier: Apache-2.0
#include "evaluate/row_space.h"

#include <algorithm>
#include <cmath>

namespace slim::evaluate {
namespace {

/// Columns [first, last) of some rows, standardised.
Matrix standardised_block(const Samples& x, const Standardiser& s, std::span<const int64_t> rows,
                          int64_t first, int64_t last) {
  Matrix block(static_cast<int64_t>(rows.size()), last - first);
  for (int64_t i = 0; i < block.rows; ++i) {
    const double* source = x.row(rows[static_cast<size_t>(i)]);
    for (int64_t j = first; j < last; ++j) {
      const auto column = static_cast<size_t>(j);
      block(i, j - first) = (source[j] - s.mean[column]) * s.inverse_sd[column];
    }
  }
  return block;
}

/// x with x^T L^T = b^T for the square lower triangle L whose row j is row pivots[j] of z: forward
/// substitution.
void solve_forward(const Matrix& z, const std::vector<int64_t>& pivots, double* b) {
  for (int64_t j = 0; j < z.columns; ++j) {
    const double* row = z.row(pivots[static_cast<size_t>(j)]);
    b[j] = (b[j] - dot(row, b, j)) / row[j];
  }
}

/// a with L^T a = c, the same L: backward substitution.
void solve_backward(const Matrix& z, const std::vector<int64_t>& pivots, std::vector<double>& c) {
  for (int64_t j = z.columns - 1; j >= 0; --j) {
    const double* row = z.row(pivots[static_cast<size_t>(j)]);
    const double a = c[static_cast<size_t>(j)] / row[j];
    c[static_cast<size_t>(j)] = a;
    for (int64_t k = 0; k < j; ++k) {
      c[static_cast<size_t>(k)] -= row[k] * a;
    }
  }
}

}  // namespace

Standardiser standardiser_of(const Samples& x, std::span<const int64_t> rows) {
  const auto columns = static_cast<size_t>(x.columns);
  const auto n = static_cast<double>(rows.size());
  Standardiser s{std::vector<double>(columns), std::vector<double>(columns), 0};
  // Differences from the first row: those of a constant column are 0 exactly, whatever its size.
  const double* first = x.row(rows.front());
  for (const int64_t row : rows) {
    for (size_t j = 0; j < columns; ++j) {
      s.mean[j] += x.row(row)[j] - first[j];
    }
  }
  for (size_t j = 0; j < columns; ++j) {
    s.mean[j] = first[j] + s.mean[j] / n;
  }
  for (const int64_t row : rows) {
    for (size_t j = 0; j < columns; ++j) {
      s.inverse_sd[j] += (x.row(row)[j] - s.mean[j]) * (x.row(row)[j] - s.mean[j]);
    }
  }
  for (double& value : s.inverse_sd) {
    const double sd = std::sqrt(value / n);
    value = sd < 1e-12 ? 0 : 1 / sd;
    s.kept += value > 0 ? 1 : 0;
  }
  return s;
}

Reduced reduce(const Samples& x, const Standardiser& standardiser, std::span<const int64_t> fit_rows,
               std::span<const int64_t> held_rows) {
  const auto n_fit = static_cast<int64_t>(fit_rows.size()), n_held = static_cast<int64_t>(held_rows.size());
  if (x.columns <= n_fit) {
    return {standardised_block(x, standardiser, fit_rows, 0, x.columns),
            standardised_block(x, standardiser, held_rows, 0, x.columns),
            {}};
  }
  constexpr int64_t kBlock = 512;
  Matrix inner(n_fit, n_fit), across(n_held, n_fit);
  for (int64_t first = 0; first < x.columns; first += kBlock) {
    const int64_t last = std::min(first + kBlock, x.columns);
    const Matrix fitted = standardised_block(x, standardiser, fit_rows, first, last);
    add_gram(fitted, inner);
    if (n_held > 0) {
      add_product_transposed(standardised_block(x, standardiser, held_rows, first, last), fitted, across);
    }
  }
  PivotedCholesky basis = pivoted_cholesky(inner);
  Reduced reduced{std::move(basis.factor), Matrix(n_held, static_cast<int64_t>(basis.pivots.size())),
                  basis.pivots};
  for (int64_t i = 0; i < n_held; ++i) {
    for (size_t j = 0; j < reduced.pivots.size(); ++j) {
      reduced.held.row(i)[j] = across(i, reduced.pivots[j]);
    }
    solve_forward(reduced.fitted, reduced.pivots, reduced.held.row(i));
  }
  return reduced;
}

Matrix expand(const Reduced& reduced, const Samples& x, const Standardiser& standardiser,
              std::span<const int64_t> fit_rows, const Matrix& weights) {
  const int64_t rank = reduced.fitted.columns;
  Matrix full(weights.rows, x.columns);
  for (int64_t c = 0; c < weights.rows; ++c) {
    std::vector<double> a(weights.row(c), weights.row(c) + rank);
    if (x.columns <= static_cast<int64_t>(fit_rows.size())) {
      std::copy(a.begin(), a.end(), full.row(c));
      continue;
    }
    solve_backward(reduced.fitted, reduced.pivots, a);
    for (size_t k = 0; k < a.size(); ++k) {
      const double* row = x.row(fit_rows[static_cast<size_t>(reduced.pivots[k])]);
      for (int64_t j = 0; j < x.columns; ++j) {
        const auto column = static_cast<size_t>(j);
        full(c, j) += a[k] * (row[j] - standardiser.mean[column]) * standardiser.inverse_sd[column];
      }
    }
  }
  return full;
}

}  // namespace slim::evaluate
