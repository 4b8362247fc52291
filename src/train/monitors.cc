// SPDX-License-Identifier: Apache-2.0
#include "train/monitors.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

namespace slim::train {
namespace {

double mean_sd(const at::Tensor& h) { return (h - h.mean(0)).square().mean(0).sqrt().mean().item<double>(); }

double mean_cosine(const at::Tensor& h) {
  const auto n = static_cast<double>(h.size(0));
  const at::Tensor unit = h / at::linalg_vector_norm(h, 2, 1, true).clamp_min(1e-12);
  return (unit.sum(0).square().sum().item<double>() - n) / (n * (n - 1));
}

double effective_rank(const at::Tensor& h) {
  const at::Tensor centred = h - h.mean(0);
  // Eigenvalues of the smaller Gram matrix are the squares of the singular values.
  const at::Tensor gram =
      centred.size(0) < centred.size(1) ? at::matmul(centred, centred.t()) : at::matmul(centred.t(), centred);
  const at::Tensor eigenvalues = at::linalg_eigvalsh(gram);
  const double* const values = eigenvalues.const_data_ptr<double>();
  const double largest = values[eigenvalues.size(0) - 1];
  // Rounding of the means leaves this much in identical rows.
  if (largest <= 1e-24 * h.square().sum().item<double>()) {
    return 1.0;
  }
  std::vector<double> singular;
  double sum = 0;
  for (int64_t i = 0; i < eigenvalues.size(0); ++i) {
    if (values[i] > 1e-14 * largest) {
      singular.push_back(std::sqrt(values[i]));
      sum += singular.back();
    }
  }
  double entropy = 0;
  for (const double s : singular) {
    entropy -= s / sum * std::log(s / sum);
  }
  return std::exp(entropy);
}

/// Sum of squares around the mean of these rows.
double scatter_of(const at::Tensor& h, const std::vector<int64_t>& rows) {
  at::Tensor index = at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
  std::copy(rows.begin(), rows.end(), index.data_ptr<int64_t>());
  const at::Tensor chosen = h.index_select(0, index);
  return (chosen - chosen.mean(0)).square().sum().item<double>();
}

double input_share(const at::Tensor& h, const std::vector<int64_t>& cells) {
  std::map<int64_t, std::vector<int64_t>> by_cell;
  for (size_t i = 0; i < cells.size(); ++i) {
    by_cell[cells[i]].push_back(static_cast<int64_t>(i));
  }
  std::vector<int64_t> shared;
  double within = 0;
  int64_t groups = 0;
  for (const auto& [cell, rows] : by_cell) {
    if (rows.size() >= 2) {
      within += scatter_of(h, rows);
      shared.insert(shared.end(), rows.begin(), rows.end());
      ++groups;
    }
  }
  if (groups == 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const auto n = static_cast<double>(shared.size());
  return (within / (n - static_cast<double>(groups))) / (scatter_of(h, shared) / (n - 1));
}

}  // namespace

Monitors monitor_rows(const at::Tensor& targets, const at::Tensor& predictions,
                      const std::vector<int64_t>& cells) {
  const at::NoGradGuard no_gradient;
  const int64_t all = targets.size(0), n = std::min(all, kMonitoredRows);
  at::Tensor index = at::empty({n}, at::kLong);
  std::vector<int64_t> of_rows;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t row = i * all / n;
    index.data_ptr<int64_t>()[i] = row;
    of_rows.push_back(cells[static_cast<size_t>(row)]);
  }
  const auto strided = [&](const at::Tensor& rows) {
    return rows.index_select(0, index.to(rows.device())).to(at::kCPU, at::kDouble);
  };
  const at::Tensor h = strided(targets);
  return {.target_std = mean_sd(h),
          .predicted_std = mean_sd(strided(predictions)),
          .cosine = mean_cosine(h),
          .effective_rank = effective_rank(h),
          .input_share = input_share(h, of_rows)};
}

std::string_view name_of(Verdict verdict) {
  constexpr std::array<std::string_view, 3> kNames{"healthy", "narrow", "collapsed"};
  return kNames[static_cast<size_t>(verdict)];
}

Verdict CollapseWatch::add(int64_t step, const Monitors& monitors) {
  if (verdict() == Verdict::Collapsed) {
    return Verdict::Collapsed;
  }
  const bool alarming = monitors.target_std < 1e-3 || monitors.input_share < 1e-4;
  state_.consecutive = alarming ? state_.consecutive + 1 : 0;
  if (step >= options_.warmup_steps) {
    state_.narrow = monitors.cosine > 0.95 ||
                    monitors.effective_rank < 0.02 * static_cast<double>(options_.width) ||
                    monitors.input_share < 0.01 || monitors.predicted_std < 0.05;
  }
  return verdict();
}

Verdict CollapseWatch::verdict() const {
  if (state_.consecutive >= options_.patience) {
    return Verdict::Collapsed;
  }
  return state_.narrow ? Verdict::Narrow : Verdict::Healthy;
}

}  // namespace slim::train
