// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "pipelines/tuning.h"

namespace slim::pipelines {
namespace {

std::vector<float> as_floats(const std::vector<double>& values) {
  std::vector<float> floats;
  floats.reserve(values.size());
  for (const double value : values) {
    floats.push_back(static_cast<float>(value));
  }
  return floats;
}

/// The score of the penalty that was taken.
double score_of(const evaluate::LinearFit& fit) {
  const double per_column = fit.lambda / static_cast<double>(std::max<int64_t>(1, fit.columns_kept));
  return std::min_element(fit.tried.begin(), fit.tried.end(),
                          [&](const auto& a, const auto& b) {
                            return std::abs(std::log(a.lambda_per_column / per_column)) <
                                   std::abs(std::log(b.lambda_per_column / per_column));
                          })
      ->score;
}

/// The score of saying the same of everybody: the entropy of the class shares, or the variance.
double score_without_looking(const TuningPlan& plan, const model::HeadTarget& target) {
  if (target.classes.empty()) {
    return target.sd * target.sd;
  }
  std::map<double, double> counts;
  double all = 0;
  for (const evaluate::Role role : {evaluate::Role::Train, evaluate::Role::Validation}) {
    for (const std::string& key : cases_of(plan, role)) {
      counts[plan.target.value_of.at(key)] += 1;
      all += 1;
    }
  }
  double entropy = 0;
  for (const auto& [value, count] : counts) {
    entropy -= count / all * std::log(count / all);
  }
  return entropy;
}

void say_fit(const GroupJob& job, const TuningPlan& plan, const TunedHead& head, int64_t columns) {
  char text[200];
  std::snprintf(text, sizeof text,
                "penalty %.0e x %ld columns, %s %.4g in the inner folds (%.4g without looking)",
                head.tuning.lambda_per_column, static_cast<long>(columns),
                plan.target.classes.empty() ? "mean squared error" : "log-loss", *head.tuning.score,
                score_without_looking(plan, head.target));
  job.log.say(Level::Normal, std::string("finetune: linear head, ") + text);
}

}  // namespace

TunedHead linear_head(const GroupJob& job, const TuningPlan& plan) {
  const evaluate::FeatureTable features =
      plan.features.means([&](const StoredRun& run) { return plan.target.case_of(run); });
  const evaluate::LinearFit fit = evaluate::fit_hold_out(
      features, plan.problem, {.balanced = job.config.evaluate.class_weight == "balanced"});
  if (!fit.converged) {
    job.log.warn("the linear head did not converge: its gradient is above 1e-8");
  }
  TunedHead head{.target = {.name = plan.target.label,
                            .column = plan.target.column,
                            .classes = plan.target.classes,
                            .mean = fit.target_mean,
                            .sd = fit.target_sd,
                            .units = plan.target.units},
                 .weights = {{"head.projection.weight", as_floats(fit.weight.values)},
                             {"head.projection.bias", as_floats(fit.bias)}},
                 .tuning = {}};
  head.tuning.method = "linear";
  head.tuning.lambda_per_column = fit.lambda / static_cast<double>(std::max<int64_t>(1, fit.columns_kept));
  head.tuning.metric = plan.target.classes.empty() ? "inner_folds_mse" : "inner_folds_log_loss";
  head.tuning.score = score_of(fit);
  say_fit(job, plan, head, fit.columns_kept);
  return head;
}

}  // namespace slim::pipelines
