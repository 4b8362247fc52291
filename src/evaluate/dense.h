// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace slim::evaluate {

/// A dense matrix of doubles, row by row.
struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<double> values;  // [rows * columns]

  Matrix() = default;
  Matrix(int64_t n_rows, int64_t n_columns)
      : rows(n_rows), columns(n_columns), values(static_cast<size_t>(n_rows * n_columns)) {}
  double& operator()(int64_t i, int64_t j) { return values[static_cast<size_t>(i * columns + j)]; }
  double operator()(int64_t i, int64_t j) const { return values[static_cast<size_t>(i * columns + j)]; }
  double* row(int64_t i) { return values.data() + i * columns; }
  const double* row(int64_t i) const { return values.data() + i * columns; }
};

/// Scalar product in four interleaved sums: the same bits wherever it is used.
double dot(const double* a, const double* b, int64_t n);

/// c += a b^T for a [n, k], b [m, k], c [n, m].
void add_product_transposed(const Matrix& a, const Matrix& b, Matrix& c);
/// c += a a^T (c symmetric [n, n]).
void add_gram(const Matrix& a, Matrix& c);

/// Replaces the lower triangle of a symmetric positive definite matrix by its Cholesky factor. Error SB9001
/// when it is not positive definite.
void cholesky(Matrix& a);
/// Solves L L^T x = b in place, L from cholesky(), b [n].
void solve_cholesky(const Matrix& lower, std::span<double> b);

/// Z [n, r] with Z Z^T = K for a symmetric positive semidefinite K [n, n], r its numerical rank (pivots above
/// 1e-12 of the largest diagonal value). Row pivots[j] of Z has zeros beyond column j.
struct PivotedCholesky {
  Matrix factor;
  std::vector<int64_t> pivots;
};
PivotedCholesky pivoted_cholesky(const Matrix& k);

}  // namespace slim::evaluate
