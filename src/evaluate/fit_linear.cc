// SPDX-License-Identifier: Apache-2.0
#include "evaluate/fit_linear.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "core/error.h"
#include "evaluate/softmax_fit.h"

namespace slim::evaluate {
namespace {

using Indices = std::vector<int64_t>;

void check(const Samples& x, const Response& y) {
  if (x.rows() == 0 || x.rows() * x.columns != static_cast<int64_t>(x.values.size()) ||
      x.rows() != static_cast<int64_t>(y.values.size())) {
    throw Error(message::kBug,
                "features and targets of a linear fit have different lengths, or there are none");
  }
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!std::all_of(x.values.begin(), x.values.end(), finite) ||
      !std::all_of(y.values.begin(), y.values.end(), finite)) {
    throw Error(message::kBadValues, "the features or targets of a linear fit hold NaN or Inf");
  }
  for (const double value : y.values) {
    if (y.classes > 0 && (value < 0 || value >= y.classes || value != std::floor(value))) {
      throw Error(message::kBug, "a class index of a linear fit is out of range");
    }
  }
}

/// A fit of some samples in reduced coordinates, one penalty after the other.
class ReducedFit {
 public:
  ReducedFit(const Samples& x, const Response& y, Indices fit_rows, const Indices& held_rows,
             const FitOptions& options)
      : x_(x),
        classes_(y.classes),
        fit_rows_(std::move(fit_rows)),
        standardiser_(standardiser_of(x, fit_rows_)),
        reduced_(reduce(x, standardiser_, fit_rows_, held_rows)) {
    for (const int64_t row : fit_rows_) {
      target_.push_back(y.values[static_cast<size_t>(row)]);
    }
    classes_ > 0 ? prepare_classes(options) : prepare_numbers();
  }

  /// Solves for a penalty; the weights of the last one are where the next search starts.
  void solve(double lambda_per_column) {
    // All columns constant: the bias is all there is, and any penalty will do.
    lambda_ = lambda_per_column * static_cast<double>(std::max<int64_t>(1, standardiser_.kept));
    classes_ > 0 ? solve_classes() : solve_numbers();
  }

  /// Sum over held samples of squared error (units squared) or log-loss. truth [n_held].
  double held_loss(const std::vector<double>& truth) const {
    const Matrix output = softmax_logits(reduced_.held, weights_.values);
    double sum = 0;
    for (int64_t i = 0; i < output.rows; ++i) {
      const double wanted = truth[static_cast<size_t>(i)];
      if (classes_ == 0) {
        const double miss = output(i, 0) * sd_ + mean_ - wanted;
        sum += miss * miss;
        continue;
      }
      const double* row = output.row(i);
      const double top = *std::max_element(row, row + classes_);
      double exponentials = 0;
      for (int c = 0; c < classes_; ++c) {
        exponentials += std::exp(row[c] - top);
      }
      sum += std::log(exponentials) + top - row[static_cast<int64_t>(wanted)];
    }
    return sum;
  }

  /// The last solution, folded back to raw features.
  LinearFit result() const {
    LinearFit fit;
    fit.classes = classes_;
    fit.weight = expand(reduced_, x_, standardiser_, fit_rows_, weights_.values);
    fit.target_mean = mean_;
    fit.target_sd = sd_;
    fit.lambda = lambda_;
    fit.columns_kept = standardiser_.kept;
    fit.converged = weights_.converged;
    for (int64_t c = 0; c < fit.weight.rows; ++c) {
      double* row = fit.weight.row(c);
      for (int64_t j = 0; j < x_.columns; ++j) {
        row[j] *= standardiser_.inverse_sd[static_cast<size_t>(j)];
      }
      fit.bias.push_back(weights_.values(c, reduced_.fitted.columns) -
                         dot(row, standardiser_.mean.data(), x_.columns));
    }
    return fit;
  }

 private:
  void prepare_numbers() {
    const auto n = static_cast<double>(target_.size());
    mean_ = std::accumulate(target_.begin(), target_.end(), 0.0) / n;
    double squares = 0;
    for (const double value : target_) {
      squares += (value - mean_) * (value - mean_);
    }
    const double sd = std::sqrt(squares / n);
    sd_ = sd < 1e-12 ? 1 : sd;
    // The normal equations, shared by all penalties.
    const int64_t r = reduced_.fitted.columns;
    Matrix transposed(r, reduced_.fitted.rows);
    for (int64_t i = 0; i < transposed.columns; ++i) {
      for (int64_t j = 0; j < r; ++j) {
        transposed(j, i) = reduced_.fitted(i, j);
      }
    }
    normal_ = Matrix(r, r);
    add_gram(transposed, normal_);
    std::vector<double> y;
    for (const double value : target_) {
      y.push_back((value - mean_) / sd_);
    }
    for (int64_t j = 0; j < r; ++j) {
      right_side_.push_back(dot(transposed.row(j), y.data(), transposed.columns));
    }
  }

  void solve_numbers() {
    Matrix system = normal_;
    for (int64_t j = 0; j < system.rows; ++j) {
      system(j, j) += lambda_;
    }
    cholesky(system);
    weights_.values = Matrix(1, system.rows + 1);  // features and targets are centred: the bias is 0
    std::copy(right_side_.begin(), right_side_.end(), weights_.values.row(0));
    solve_cholesky(system, {weights_.values.row(0), static_cast<size_t>(system.rows)});
    weights_.converged = true;
  }

  void prepare_classes(const FitOptions& options) {
    std::vector<double> counts(static_cast<size_t>(classes_));
    for (const double value : target_) {
      labels_.push_back(static_cast<int>(value));
      counts[static_cast<size_t>(labels_.back())] += 1;
    }
    for (int c = 0; c < classes_; ++c) {
      if (counts[static_cast<size_t>(c)] == 0) {
        throw Error(message::kEmptySelection,
                    "class " + std::to_string(c) + " has no sample in the training part of a fold");
      }
    }
    for (const int label : labels_) {
      sample_weights_.push_back(options.balanced ? static_cast<double>(labels_.size()) /
                                                       (classes_ * counts[static_cast<size_t>(label)])
                                                 : 1.0);
    }
    weights_.values = Matrix(classes_, reduced_.fitted.columns + 1);
  }

  void solve_classes() {
    weights_ = fit_softmax(reduced_.fitted, labels_, sample_weights_, lambda_, std::move(weights_));
  }

  Samples x_;
  int classes_;
  Indices fit_rows_;
  Standardiser standardiser_;
  Reduced reduced_;
  std::vector<double> target_;
  double mean_ = 0, sd_ = 1, lambda_ = 0;
  SoftmaxWeights weights_;  // [outputs, r + 1], for numbers too
  Matrix normal_;
  std::vector<double> right_side_, sample_weights_;
  std::vector<int> labels_;
};

Indices rows_where(std::span<const int> folds, const std::function<bool(int)>& wanted) {
  Indices rows;
  for (size_t i = 0; i < folds.size(); ++i) {
    if (wanted(folds[i])) {
      rows.push_back(static_cast<int64_t>(i));
    }
  }
  return rows;
}

/// Mean loss over inner folds of each penalty, given from the largest down.
std::vector<TriedPenalty> try_penalties(const Samples& x, const Response& y, std::span<const int> inner_fold,
                                        const FitOptions& options) {
  std::vector<TriedPenalty> tried;
  for (const double lambda : options.lambda_per_column) {
    tried.push_back({lambda, 0});
  }
  std::sort(tried.begin(), tried.end(),
            [](const auto& a, const auto& b) { return a.lambda_per_column > b.lambda_per_column; });
  std::vector<int> folds(inner_fold.begin(), inner_fold.end());
  std::sort(folds.begin(), folds.end());
  folds.erase(std::unique(folds.begin(), folds.end()), folds.end());
  if (folds.size() < 2) {
    throw Error(message::kEmptySelection,
                "too few samples to choose a penalty: inner folds need at least two parts");
  }
  for (const int fold : folds) {
    const Indices held = rows_where(inner_fold, [&](int f) { return f == fold; });
    ReducedFit fit(x, y, rows_where(inner_fold, [&](int f) { return f != fold; }), held, options);
    std::vector<double> truth;
    for (const int64_t row : held) {
      truth.push_back(y.values[static_cast<size_t>(row)]);
    }
    for (TriedPenalty& penalty : tried) {
      fit.solve(penalty.lambda_per_column);
      penalty.score += fit.held_loss(truth) / static_cast<double>(inner_fold.size());
    }
  }
  return tried;
}

}  // namespace

LinearFit fit_linear_at(const Samples& x, const Response& y, double lambda_per_column,
                        const FitOptions& options) {
  check(x, y);
  Indices all(static_cast<size_t>(x.rows()));
  std::iota(all.begin(), all.end(), int64_t{0});
  ReducedFit fit(x, y, std::move(all), {}, options);
  fit.solve(lambda_per_column);
  return fit.result();
}

LinearFit fit_linear(const Samples& x, const Response& y, std::span<const int> inner_fold,
                     const FitOptions& options) {
  check(x, y);
  if (inner_fold.size() != y.values.size() || options.lambda_per_column.empty()) {
    throw Error(message::kBug,
                "inner folds and targets of a linear fit have different lengths, or no penalty is given");
  }
  std::vector<TriedPenalty> tried = try_penalties(x, y, inner_fold, options);
  const auto best = std::min_element(tried.begin(), tried.end(),
                                     [](const auto& a, const auto& b) { return a.score < b.score; });
  LinearFit fit = fit_linear_at(x, y, best->lambda_per_column, options);
  fit.tried = std::move(tried);
  return fit;
}

Matrix apply_linear(const LinearFit& fit, const Samples& x) {
  Matrix output(x.rows(), fit.weight.rows);
  for (int64_t i = 0; i < output.rows; ++i) {
    for (int64_t c = 0; c < output.columns; ++c) {
      output(i, c) = dot(x.row(i), fit.weight.row(c), x.columns) + fit.bias[static_cast<size_t>(c)];
    }
  }
  return output;
}

Matrix predict_linear(const LinearFit& fit, const Samples& x) {
  Matrix output = apply_linear(fit, x);
  if (fit.classes > 0) {
    softmax_in_place(output);
  } else {
    for (double& value : output.values) {
      value = value * fit.target_sd + fit.target_mean;
    }
  }
  return output;
}

}  // namespace slim::evaluate
