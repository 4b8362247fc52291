// SPDX-License-Identifier: Apache-2.0
#include "evaluate/fingerprint.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace slim::evaluate {
namespace {

/// Rows minus `mean`, of length 1 (rows of zeros stay so).
Matrix unit_rows(const Matrix& rows, std::span<const double> mean) {
  Matrix unit = rows;
  for (int64_t i = 0; i < unit.rows; ++i) {
    double* row = unit.row(i);
    for (int64_t j = 0; j < unit.columns && !mean.empty(); ++j) {
      row[j] -= mean[static_cast<size_t>(j)];
    }
    const double length = std::sqrt(dot(row, row, unit.columns));
    for (int64_t j = 0; j < unit.columns && length > 0; ++j) {
      row[j] /= length;
    }
  }
  return unit;
}

Matching match(const Matrix& queries, const Matrix& database, bool subtract_mean) {
  std::vector<double> mean(subtract_mean ? static_cast<size_t>(database.columns) : 0);
  for (size_t j = 0; j < mean.size(); ++j) {
    for (int64_t i = 0; i < database.rows; ++i) {
      mean[j] += database(i, static_cast<int64_t>(j));
    }
    mean[j] /= static_cast<double>(database.rows);
  }
  const Matrix q = unit_rows(queries, mean), d = unit_rows(database, mean);
  Matrix similarity(q.rows, d.rows);
  add_product_transposed(q, d, similarity);
  Matching result;
  const auto n = static_cast<double>(q.rows);
  for (int64_t i = 0; i < q.rows; ++i) {
    int64_t rank = 1;
    for (int64_t j = 0; j < d.rows; ++j) {
      rank += j != i && similarity(i, j) >= similarity(i, i) ? 1 : 0;
    }
    result.rank.push_back(rank);
    result.top1 += rank <= 1 ? 1 / n : 0;
    result.top5 += rank <= 5 ? 1 / n : 0;
    result.mean_rank += static_cast<double>(rank) / n;
  }
  return result;
}

/// Each participant's clips dealt in turn into the folds that the one with fewest clips allows.
std::vector<int> dealt_folds(std::span<const int> person, const std::vector<int>& clips) {
  const int folds = std::min(5, *std::min_element(clips.begin(), clips.end()));
  std::vector<int> next(clips.size()), result;
  for (const int p : person) {
    result.push_back(next[static_cast<size_t>(p)]++ % folds);
  }
  return result;
}

}  // namespace

Identification identify(const Matrix& first, const Matrix& second, const IdentificationOptions& options) {
  if (first.rows != second.rows || first.columns != second.columns) {
    throw Error(message::kBug, "the sessions of an identification have different shapes");
  }
  if (first.rows < 2) {
    throw Error(message::kEmptySelection,
                "identification needs at least two participants with two sessions each");
  }
  for (const Matrix* matrix : {&first, &second}) {
    if (!std::all_of(matrix->values.begin(), matrix->values.end(),
                     [](double v) { return std::isfinite(v); })) {
      throw Error(message::kBadValues, "the embeddings of an identification hold NaN or Inf");
    }
  }
  Identification result{.n = first.rows, .chance = 1.0 / static_cast<double>(first.rows)};
  result.first_to_second = match(first, second, options.subtract_database_mean);
  result.second_to_first = match(second, first, options.subtract_database_mean);
  result.top1 = (result.first_to_second.top1 + result.second_to_first.top1) / 2;
  result.top5 = (result.first_to_second.top5 + result.second_to_first.top5) / 2;
  result.mean_rank = (result.first_to_second.mean_rank + result.second_to_first.mean_rank) / 2;
  return result;
}

ClosedSet recognise(const Samples& first, std::span<const int> first_person, const Samples& second,
                    std::span<const int> second_person, int n, const FitOptions& options) {
  std::vector<int> clips(static_cast<size_t>(std::max(n, 0)));
  for (const int p : first_person) {
    ++clips.at(static_cast<size_t>(p));
  }
  if (n < 2 || *std::min_element(clips.begin(), clips.end()) == 0) {
    throw Error(message::kEmptySelection,
                "closed-set recognition needs at least two participants, each with a clip in session 1");
  }
  ClosedSet result{.n = n, .n_samples = second.rows(), .chance = 1.0 / n};
  const Response who{n, {first_person.begin(), first_person.end()}};
  result.penalty_chosen = *std::min_element(clips.begin(), clips.end()) > 1;
  const std::vector<double>& grid = options.lambda_per_column;
  const LinearFit fit = result.penalty_chosen
                            ? fit_linear(first, who, dealt_folds(first_person, clips), options)
                            : fit_linear_at(first, who, grid.at(grid.size() / 2), options);
  result.lambda_per_column = fit.lambda / static_cast<double>(std::max<int64_t>(1, fit.columns_kept));
  const Matrix probabilities = predict_linear(fit, second);
  const std::vector<int> predicted = predicted_classes(probabilities.values, n);
  result.accuracy = accuracy(second_person, predicted);
  result.macro_f1 = macro_f1(second_person, predicted);
  std::vector<double> tested(clips.size());
  result.hit_share.resize(clips.size());
  for (size_t i = 0; i < predicted.size(); ++i) {
    const auto p = static_cast<size_t>(second_person[i]);
    tested.at(p) += 1;
    result.hit_share[p] += predicted[i] == second_person[i] ? 1 : 0;
  }
  for (size_t p = 0; p < tested.size(); ++p) {
    result.hit_share[p] /= std::max(1.0, tested[p]);
  }
  return result;
}

}  // namespace slim::evaluate
