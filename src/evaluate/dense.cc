// SPDX-License-Identifier: Apache-2.0
#include "evaluate/dense.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"

namespace slim::evaluate {
namespace {

constexpr int64_t kLanes = 4;

double total(const std::array<double, kLanes>& lanes) {
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

/// Four scalar products at once; each has the order of sums of dot().
void dot_2x2(const double* a0, const double* a1, const double* b0, const double* b1, int64_t n,
             std::array<double, 4>& out) {
  std::array<double, kLanes> s00{}, s01{}, s10{}, s11{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      const auto lane = static_cast<size_t>(l);
      s00[lane] += a0[i + l] * b0[i + l];
      s01[lane] += a0[i + l] * b1[i + l];
      s10[lane] += a1[i + l] * b0[i + l];
      s11[lane] += a1[i + l] * b1[i + l];
    }
  }
  for (size_t lane = 0; i < n; ++i, ++lane) {
    s00[lane] += a0[i] * b0[i];
    s01[lane] += a0[i] * b1[i];
    s10[lane] += a1[i] * b0[i];
    s11[lane] += a1[i] * b1[i];
  }
  out = {total(s00), total(s01), total(s10), total(s11)};
}

/// Rows of b up to last(i) are combined with row i of a.
template <class Last>
void add_products(const Matrix& a, const Matrix& b, Matrix& c, Last last) {
  // Rows of b are taken in blocks that stay in the cache while the rows of a pass by.
  const int64_t block = std::max<int64_t>(2, (int64_t{1} << 15) / std::max<int64_t>(1, b.columns) / 2 * 2);
  for (int64_t first = 0; first < b.rows; first += block) {
    const int64_t stop = std::min(first + block, b.rows);
    for (int64_t i = 0; i < a.rows; i += 2) {
      const int64_t i1 = std::min(i + 1, a.rows - 1);
      for (int64_t j = first; j < std::min(stop, last(i1)); j += 2) {
        const int64_t j1 = std::min(j + 1, stop - 1);
        std::array<double, 4> products;
        dot_2x2(a.row(i), a.row(i1), b.row(j), b.row(j1), a.columns, products);
        c(i, j) += products[0];
        if (j1 != j) c(i, j1) += products[1];
        if (i1 != i) c(i1, j) += products[2];
        if (i1 != i && j1 != j) c(i1, j1) += products[3];
      }
    }
  }
}

}  // namespace

double dot(const double* a, const double* b, int64_t n) {
  std::array<double, kLanes> lanes{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      lanes[static_cast<size_t>(l)] += a[i + l] * b[i + l];
    }
  }
  for (size_t lane = 0; i < n; ++i, ++lane) {
    lanes[lane] += a[i] * b[i];
  }
  return total(lanes);
}

void add_product_transposed(const Matrix& a, const Matrix& b, Matrix& c) {
  add_products(a, b, c, [&](int64_t) { return b.rows; });
}

void add_gram(const Matrix& a, Matrix& c) {
  add_products(a, a, c, [](int64_t i) { return i + 1; });
  for (int64_t i = 0; i < c.rows; ++i) {
    for (int64_t j = i + 1; j < c.rows; ++j) {
      c(i, j) = c(j, i);
    }
  }
}

void cholesky(Matrix& a) {
  for (int64_t j = 0; j < a.rows; ++j) {
    const double pivot = a(j, j) - dot(a.row(j), a.row(j), j);
    if (!(pivot > 0)) {
      throw Error(message::kBug, "a matrix that must be positive definite is not");
    }
    const double root = std::sqrt(pivot);
    a(j, j) = root;
    for (int64_t i = j + 1; i < a.rows; ++i) {
      a(i, j) = (a(i, j) - dot(a.row(i), a.row(j), j)) / root;
    }
  }
}

void solve_cholesky(const Matrix& lower, std::span<double> b) {
  for (int64_t i = 0; i < lower.rows; ++i) {
    double& x = b[static_cast<size_t>(i)];
    x = (x - dot(lower.row(i), b.data(), i)) / lower(i, i);
  }
  for (int64_t i = lower.rows - 1; i >= 0; --i) {
    double& x = b[static_cast<size_t>(i)];
    x /= lower(i, i);
    for (int64_t j = 0; j < i; ++j) {
      b[static_cast<size_t>(j)] -= lower(i, j) * x;
    }
  }
}

PivotedCholesky pivoted_cholesky(const Matrix& k) {
  const int64_t n = k.rows;
  std::vector<double> left(static_cast<size_t>(n));  // diagonal of what is not yet explained
  for (int64_t i = 0; i < n; ++i) {
    left[static_cast<size_t>(i)] = k(i, i);
  }
  const double floor = n > 0 ? 1e-12 * *std::max_element(left.begin(), left.end()) : 0;
  Matrix z(n, n);
  std::vector<int64_t> pivots;
  for (int64_t r = 0; r < n; ++r) {
    const int64_t p = std::max_element(left.begin(), left.end()) - left.begin();
    if (!(left[static_cast<size_t>(p)] > floor)) {
      break;
    }
    const double root = std::sqrt(left[static_cast<size_t>(p)]);
    for (int64_t i = 0; i < n; ++i) {
      z(i, r) = (k(i, p) - dot(z.row(i), z.row(p), r)) / root;
      left[static_cast<size_t>(i)] -= z(i, r) * z(i, r);
    }
    z(p, r) = root;
    for (const int64_t earlier : pivots) {
      z(earlier, r) = 0;  // explained wholly before; what is left there is rounding
    }
    pivots.push_back(p);
    for (const int64_t done : pivots) {
      left[static_cast<size_t>(done)] = 0;
    }
  }
  const auto rank = static_cast<int64_t>(pivots.size());
  PivotedCholesky result{Matrix(n, rank), std::move(pivots)};
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(z.row(i), rank, result.factor.row(i));
  }
  return result;
}

}  // namespace slim::evaluate
