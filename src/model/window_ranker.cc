// SPDX-License-Identifier: Apache-2.0
#include "model/window_ranker.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace slim::model {
namespace {

constexpr double kSmallestSd = 1e-12;

/// The same piece for each of several passes; no memory is taken.
RoiBatch repeated(const RoiBatch& piece, int64_t passes) {
  const auto spread = [&](const at::Tensor& one) {
    std::vector<int64_t> shape = one.sizes().vec();
    shape[0] = passes;
    return one.expand(shape);
  };
  return {.patches = spread(piece.patches),
          .valid = spread(piece.valid),
          .present = spread(piece.present).contiguous(),
          .all_present = piece.all_present};
}

/// Mean absolute error of each window in each pass; masked_windows [passes, windows] bool. -> double [passes,
/// windows]
at::Tensor window_errors(const GlobalMae& network, const RoiBatch& piece, const at::Tensor& masked_windows,
                         const ScoringOptions& options) {
  if (piece.patches.size(0) != 1) {
    throw Error(message::kBug, "Windows are scored piece by piece.");
  }
  const c10::NoGradGuard no_gradient;
  const int64_t passes = masked_windows.size(0), groups = piece.patches.size(1),
                windows = piece.patches.size(2);
  const at::Tensor entries = piece.valid.to(at::kDouble).sum({0, 1, 3});
  const int64_t at_once = std::max<int64_t>(1, options.passes_at_once);
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < passes; first += at_once) {
    const int64_t count = std::min(at_once, passes - first);
    const RoiBatch batch = repeated(piece, count);
    const at::Tensor masked =
        masked_windows.narrow(0, first, count).unsqueeze(1).expand({count, groups, windows}).contiguous();
    const at::Tensor error = (batch.patches - network->forward(batch, masked)).abs() * batch.valid;
    parts.push_back((error.to(at::kDouble).sum({1, 3}) / entries).cpu());
    if (options.watch) {
      options.watch(first + count, passes);
    }
  }
  return at::cat(parts).contiguous();
}

at::Tensor only_itself(const RoiBatch& piece) {
  return at::eye(piece.patches.size(2), at::TensorOptions(at::kBool).device(piece.patches.device()));
}

std::vector<double> standard_scores(std::vector<double> scores) {
  const auto count = static_cast<double>(scores.size());
  double mean = 0.0, square = 0.0;
  for (const double score : scores) {
    mean += score / count;
  }
  for (const double score : scores) {
    square += (score - mean) * (score - mean) / count;
  }
  const double sd = std::sqrt(square);
  for (double& score : scores) {
    score = sd < kSmallestSd ? 0.0 : (score - mean) / sd;
  }
  return scores;
}

}  // namespace

PairMatrix pair_matrix(const GlobalMae& network, const RoiBatch& piece, const ScoringOptions& options) {
  const at::Tensor errors = window_errors(network, piece, only_itself(piece).logical_not(), options);
  PairMatrix matrix{.windows = errors.size(0)};
  const auto* values = errors.const_data_ptr<double>();
  matrix.errors.assign(values, values + errors.numel());
  for (int64_t i = 0; i < matrix.windows; ++i) {
    matrix.errors[static_cast<size_t>(i * matrix.windows + i)] = 0.0;
  }
  return matrix;
}

std::vector<double> mutual_source(const PairMatrix& errors) {
  std::vector<double> scores;
  for (int64_t i = 0; i < errors.windows; ++i) {
    double sum = 0.0;
    for (int64_t j = 0; j < errors.windows; ++j) {
      sum += errors.at(i, j);
    }
    scores.push_back(-sum / static_cast<double>(errors.windows - 1));
  }
  return scores;
}

std::vector<double> mutual_target(const PairMatrix& errors) {
  std::vector<double> scores;
  for (int64_t i = 0; i < errors.windows; ++i) {
    double sum = 0.0;
    for (int64_t j = 0; j < errors.windows; ++j) {
      sum += errors.at(j, i);
    }
    scores.push_back(sum / static_cast<double>(errors.windows - 1));
  }
  return scores;
}

std::vector<double> mutual_sum(const PairMatrix& errors) {
  std::vector<double> scores = standard_scores(mutual_source(errors));
  const std::vector<double> target = standard_scores(mutual_target(errors));
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] += target[i];
  }
  return scores;
}

std::vector<double> leave_one_out(const GlobalMae& network, const RoiBatch& piece,
                                  const ScoringOptions& options) {
  const at::Tensor errors =
      window_errors(network, piece, only_itself(piece), options).diagonal().contiguous();
  const auto* values = errors.const_data_ptr<double>();
  return {values, values + errors.numel()};
}

std::vector<double> window_scores(std::string_view ranker, const GlobalMae& network, const RoiBatch& piece,
                                  const ScoringOptions& options) {
  if (ranker == "leave_one_out") {
    return leave_one_out(network, piece, options);
  }
  if (ranker == "mutual_source") {
    return mutual_source(pair_matrix(network, piece, options));
  }
  if (ranker == "mutual_target") {
    return mutual_target(pair_matrix(network, piece, options));
  }
  if (ranker == "mutual_sum") {
    return mutual_sum(pair_matrix(network, piece, options));
  }
  throw Error(message::kBadValue, "Ranker " + std::string(ranker) + " does not score with stage 1.");
}

}  // namespace slim::model
