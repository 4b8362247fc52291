// SPDX-License-Identifier: Apache-2.0
#include "evaluate/fit_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/seed.h"
#include "evaluate/lbfgs.h"
#include "tests/evaluate/sklearn_judge.h"

namespace slim::evaluate {
namespace {

using nlohmann::json;

struct Case {
  int64_t n, p;
  int classes;
  double lambda_per_column;
  bool balanced = false;
  std::vector<double> x{}, y{}, fresh{};
  std::vector<int> folds{};

  Samples samples() const { return {x, p}; }
  Samples fresh_samples() const { return {fresh, p}; }
};

/// Correlated features of different scales, one of them constant; targets that depend on some.
Case made(Case one, uint64_t index) {
  Stream stream(31, "fit_linear_test", 0, index);
  const auto draw = [&](int64_t rows, std::vector<double>& out) {
    for (int64_t i = 0; i < rows; ++i) {
      const double common = stream.normal();
      for (int64_t j = 0; j < one.p; ++j) {
        const double scale = std::pow(10.0, static_cast<double>(j % 5) - 2);
        out.push_back(j == 3 ? 7.1e5 : scale * (stream.normal() + 0.7 * common + 5));
      }
    }
  };
  draw(one.n, one.x);
  draw(9, one.fresh);
  for (int64_t i = 0; i < one.n; ++i) {
    const double score = one.x[static_cast<size_t>(i * one.p + 2)] + 0.5 * stream.normal();
    one.y.push_back(one.classes == 0      ? 40 + 12 * score
                    : i < one.classes * 4 ? static_cast<double>(i % one.classes)
                    : score > 5           ? one.classes - 1
                                : static_cast<double>(stream.bounded(static_cast<uint64_t>(one.classes))));
    one.folds.push_back(static_cast<int>(i % 5));
  }
  return one;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  uint64_t index = 0;
  for (const int classes : {0, 2, 4}) {
    for (const int64_t p : {6, 60}) {  // fewer and more columns than rows
      for (const double lambda : {1e-2, 1.0, 100.0}) {
        all.push_back(made({40, p, classes, lambda}, index++));
      }
    }
  }
  all.push_back(made({40, 6, 3, 0.1, true}, index++));
  all.push_back(made({40, 60, 3, 0.1, true}, index++));
  return all;
}

TEST(FitLinear, EqualsScikitLearnWithFewerAndMoreColumnsThanRows) {
  if (!test::judges_python()) {
    GTEST_SKIP() << "SLIM_JUDGES is not set";
  }
  json questions;
  for (const Case& one : cases()) {
    questions.push_back({{"kind", "linear"},
                         {"x", one.x},
                         {"y", one.y},
                         {"new", one.fresh},
                         {"classes", one.classes},
                         {"balanced", one.balanced},
                         {"lambda_per_column", one.lambda_per_column}});
  }
  const json answers = test::ask_sklearn(questions);
  ASSERT_EQ(answers.size(), cases().size());
  size_t i = 0;
  for (const Case& one : cases()) {
    const LinearFit fit =
        fit_linear_at(one.samples(), {one.classes, one.y}, one.lambda_per_column, {.balanced = one.balanced});
    EXPECT_TRUE(fit.converged);
    EXPECT_EQ(fit.columns_kept, one.p - 1) << "the constant column is dropped";
    const Matrix ours = predict_linear(fit, one.fresh_samples());
    const std::vector<double> theirs = answers[i]["predictions"];
    ASSERT_EQ(ours.values.size(), theirs.size());
    for (size_t k = 0; k < theirs.size(); ++k) {
      EXPECT_NEAR(ours.values[k], theirs[k], 1e-6) << "case " << i << " value " << k;
    }
    ++i;
  }
}

TEST(FitLinear, ScoresOfThePenaltiesEqualScikitLearnsInTheSameFolds) {
  if (!test::judges_python()) {
    GTEST_SKIP() << "SLIM_JUDGES is not set";
  }
  const std::vector<double> grid{0.01, 1, 100};
  std::vector<Case> some;
  json questions;
  for (const int classes : {0, 3}) {
    for (const int64_t p : {6, 60}) {
      some.push_back(made({40, p, classes, 1.0}, 100 + static_cast<uint64_t>(p)));
      const Case& one = some.back();
      questions.push_back({{"kind", "linear"},
                           {"x", one.x},
                           {"y", one.y},
                           {"new", one.fresh},
                           {"classes", classes},
                           {"balanced", false},
                           {"lambda_per_column", 1.0},
                           {"folds", one.folds},
                           {"grid", grid}});
    }
  }
  const json answers = test::ask_sklearn(questions);
  ASSERT_EQ(answers.size(), some.size());
  for (size_t i = 0; i < some.size(); ++i) {
    const Case& one = some[i];
    const LinearFit fit =
        fit_linear(one.samples(), {one.classes, one.y}, one.folds, {.lambda_per_column = grid});
    ASSERT_EQ(fit.tried.size(), grid.size());
    double best = std::numeric_limits<double>::infinity(), chosen = 0;
    for (size_t k = grid.size(); k-- > 0;) {
      const double score = answers[i]["scores"][k];
      EXPECT_NEAR(fit.tried[grid.size() - 1 - k].score / score, 1.0, 1e-6)
          << "case " << i << " penalty " << grid[k];
      chosen = score < best ? grid[k] : chosen;
      best = std::min(best, score);
    }
    EXPECT_DOUBLE_EQ(fit.lambda, chosen * static_cast<double>(one.p - 1)) << "case " << i;
  }
}

TEST(FitLinear, TiesOfThePenaltyTakeTheLargest) {
  const std::vector<double> x{1, 1, 1, 1, 1, 1},
      y{1, 2, 3, 4, 5, 6};  // a constant feature: all penalties are equal
  const std::vector<int> folds{0, 1, 0, 1, 0, 1};
  const LinearFit fit = fit_linear({x, 1}, {0, y}, folds);
  EXPECT_DOUBLE_EQ(fit.lambda, 1e3);
  EXPECT_DOUBLE_EQ(predict_linear(fit, {x, 1})(0, 0), 3.5);
}

TEST(FitLinear, UnitsOfTargetAndFeaturesDoNotMatter) {
  const Case one = made({30, 50, 0, 1.0}, 200);
  Case other = one;
  for (double& value : other.y) {
    value = 1000 + value / 365.25;
  }
  for (double& value : other.x) {
    value = 3 * value - 1;
  }
  for (double& value : other.fresh) {
    value = 3 * value - 1;
  }
  const Matrix a = predict_linear(fit_linear(one.samples(), {0, one.y}, one.folds), one.fresh_samples());
  const Matrix b =
      predict_linear(fit_linear(other.samples(), {0, other.y}, other.folds), other.fresh_samples());
  for (size_t i = 0; i < a.values.size(); ++i) {
    EXPECT_NEAR((b.values[i] - 1000) * 365.25, a.values[i], 1e-6);
  }
}

TEST(FitLinear, ACopyOfEveryColumnIsTheSameFitInTheRowSpace) {
  // p doubles and every penalty per column doubles with it: predictions stay. The small form has 20 columns
  // for 30 rows, the doubled one 40, so that the closed form and the row space are held against each other.
  for (const int classes : {0, 3}) {
    const Case one = made({30, 20, classes, 0.5}, 300);
    std::vector<double> twice, fresh_twice;
    for (const auto& [from, to] : {std::pair{&one.x, &twice}, std::pair{&one.fresh, &fresh_twice}}) {
      for (size_t row = 0; row < from->size(); row += 20) {
        for (int copy = 0; copy < 2; ++copy) {
          to->insert(to->end(), from->begin() + static_cast<std::ptrdiff_t>(row),
                     from->begin() + static_cast<std::ptrdiff_t>(row) + 20);
        }
      }
    }
    const Matrix a = predict_linear(fit_linear_at(one.samples(), {classes, one.y}, 0.5), one.fresh_samples());
    const Matrix b = predict_linear(fit_linear_at({twice, 40}, {classes, one.y}, 0.5), {fresh_twice, 40});
    for (size_t i = 0; i < a.values.size(); ++i) {
      EXPECT_NEAR(a.values[i], b.values[i], 1e-7 * std::max(1.0, std::abs(a.values[i])));
    }
  }
}

TEST(FitLinear, RefusesNansMissingClassesAndTooFewSamples) {
  const std::vector<double> x{1, 2, 3, 4}, y{0, 1, 0, 1};
  const std::vector<int> folds{0, 1, 0, 1}, one_fold{0, 0, 0, 0};
  const auto code_of = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return std::string(error.code());
    }
    return std::string("none");
  };
  const std::vector<double> bad{1, 2, std::nan(""), 4}, far{0, 1, 2, 1};
  EXPECT_EQ(code_of([&] { fit_linear_at({bad, 1}, {0, y}, 1); }), "SB2015");
  EXPECT_EQ(code_of([&] { fit_linear_at({x, 1}, {0, bad}, 1); }), "SB2015");
  EXPECT_EQ(code_of([&] { fit_linear_at({x, 1}, {3, y}, 1); }), "SB3002");
  EXPECT_EQ(code_of([&] { fit_linear_at({x, 1}, {2, far}, 1); }), "SB9001");
  EXPECT_EQ(code_of([&] {
              fit_linear({x, 1}, {2, y}, folds);
            }),
            "SB3002")
      << "each inner training part has one class";
  EXPECT_EQ(code_of([&] { fit_linear({x, 1}, {0, y}, one_fold); }), "SB3002");
  EXPECT_EQ(code_of([&] { fit_linear_at({std::span(x).first(3), 1}, {0, y}, 1); }), "SB9001");
  EXPECT_EQ(code_of([&] { fit_linear_at({{}, 1}, {0, {}}, 1); }), "SB9001");
}

TEST(Lbfgs, FindsTheMinimumOfABadlyScaledBowl) {
  std::vector<double> x(30, 5.0);
  const LbfgsResult result = minimise_convex(x, [](std::span<const double> at, std::span<double> gradient) {
    for (size_t i = 0; i < at.size(); ++i) {
      gradient[i] = std::pow(10.0, static_cast<double>(i % 5)) * (at[i] - static_cast<double>(i));
    }
  });
  EXPECT_TRUE(result.converged);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(x[i], static_cast<double>(i), 1e-8);
  }
}

TEST(Dense, PivotedCholeskyExplainsAMatrixOfLowRankExactly) {
  Stream stream(41, "dense_test");
  Matrix a(12, 5), k(12, 12);
  for (double& value : a.values) {
    value = stream.normal();
  }
  add_gram(a, k);
  const PivotedCholesky z = pivoted_cholesky(k);
  ASSERT_EQ(z.pivots.size(), 5u);
  Matrix again(12, 12);
  add_product_transposed(z.factor, z.factor, again);
  for (size_t i = 0; i < k.values.size(); ++i) {
    EXPECT_NEAR(again.values[i], k.values[i], 1e-12);
  }
  for (size_t j = 0; j < z.pivots.size(); ++j) {
    for (int64_t later = static_cast<int64_t>(j) + 1; later < 5; ++later) {
      EXPECT_EQ(z.factor(z.pivots[j], later), 0);
    }
  }
}

TEST(Dense, ProductsEqualPlainSumsForAllShapes) {
  Stream stream(42, "products");
  for (const int64_t n : {1, 2, 3, 5}) {
    for (const int64_t m : {1, 2, 7}) {
      for (const int64_t width : {1, 3, 4, 9, 40000}) {  // the last one: blocks of few rows
        Matrix a(n, width), b(m, width), c(n, m), g(n, n);
        for (Matrix* matrix : {&a, &b}) {
          for (double& value : matrix->values) {
            value = static_cast<double>(stream.bounded(9)) - 4;  // whole numbers: sums are exact
          }
        }
        add_product_transposed(a, b, c);
        add_gram(a, g);
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j < std::max(m, n); ++j) {
            double ab = 0, aa = 0;
            for (int64_t k = 0; k < width; ++k) {
              ab += j < m ? a(i, k) * b(j, k) : 0;
              aa += j < n ? a(i, k) * a(j, k) : 0;
            }
            EXPECT_EQ(j < m ? c(i, j) : 0, ab);
            EXPECT_EQ(j < n ? g(i, j) : 0, aa);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace slim::evaluate
