// SPDX-License-Identifier: Apache-2.0
#include "train/pretraining.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scalar_tensor.h>

#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"

namespace slim::train {
namespace {

void add_to(at::Tensor& sum, const at::Tensor& value) {
  sum = sum.defined() ? sum + value.detach() : value.detach();
}

/// The start before it is rounded to the type of the networks.
Parameters float_copies(const Parameters& parameters) {
  Parameters copies;
  for (const auto& [key, parameter] : parameters) {
    copies[key] = parameter.detach().clone();
  }
  return copies;
}

}  // namespace

Objective objective_from(std::string_view name) {
  if (name == "jepa" || name == "mae") {
    return name == "mae" ? Objective::Mae : Objective::Jepa;
  }
  throw Error(message::kBadValue, "There is no objective \"" + std::string(name) + "\".",
              {.expected = "jepa or mae"});
}

Pretraining::Pretraining(const PretrainingOptions& options, at::Device device, at::ScalarType type)
    : options_(options), watch_(options.verdict) {
  const model::JepaOptions& shared = options_.jepa;
  locations_ = model::existing_locations(
      {.background = shared.background, .tokens = shared.tokens, .unit_tau = shared.unit_tau});
  if (options_.objective == Objective::Jepa) {
    jepa_.emplace(shared, options_.seed);
    const Parameters start = float_copies(jepa_->online_parameters());
    jepa_->to(device, type);
    optimiser_.emplace(jepa_->online_parameters(), options_.optimiser);
    model::copy_values(start, optimiser_->masters());
    ema_.emplace(optimiser_->masters(), jepa_->target_parameters());
    model::copy_values(start, ema_->averages());
  } else {
    mae_.emplace(model::Stage2MaeOptions{.encoder = shared.encoder,
                                         .decoder = shared.predictor,
                                         .fusion = shared.fusion,
                                         .background = shared.background,
                                         .tokens = shared.tokens,
                                         .unit_tau = shared.unit_tau,
                                         .frames = options_.mae_frames,
                                         .recompute = shared.recompute},
                 options_.seed);
    const Parameters start = float_copies(mae_->parameters());
    mae_->to(device, type);
    optimiser_.emplace(mae_->parameters(), options_.optimiser);
    model::copy_values(start, optimiser_->masters());
  }
}

at::Tensor Pretraining::forward_jepa(const PretrainingBatch& batch, uint64_t epoch, uint64_t step,
                                     bool logged, Sums& sums) {
  const int64_t time_blocks = model::draw_time_blocks(options_.regions, options_.seed, epoch, step);
  const auto masks = static_cast<uint64_t>(options_.masks_per_clip);
  std::vector<model::Regions> regions;
  for (const uint64_t position : batch.positions) {
    for (uint64_t mask = 0; mask < masks; ++mask) {
      regions.push_back(model::draw_regions(options_.regions, time_blocks, locations_, options_.seed, epoch,
                                            position * masks + mask));
    }
  }
  const model::JepaOutput output = jepa_->forward(batch.clips, regions);
  add_to(sums.divisor, at::scalar_tensor(output.divisor, output.loss_sum.options().requires_grad(false)));
  add_to(sums.regions, output.region_sums);
  for (size_t i = 0; i < sums.region_rows.size(); ++i) {
    sums.region_rows[i] += output.region_rows[i];
  }
  if (logged) {
    // Rows of the first mask of a clip: a cell that occurs twice is then in two clips.
    std::vector<int64_t> rows;
    for (size_t i = 0; i < output.target_cells.size(); ++i) {
      if (output.target_cells[i].clip % options_.masks_per_clip == 0) {
        rows.push_back(static_cast<int64_t>(i));
        sums.cells.push_back(model::final_cell_index(output.target_cells[i]));
      }
    }
    const at::Tensor index = model::index_tensor(rows, output.targets.device());
    sums.targets.push_back(output.targets.index_select(0, index));
    sums.predictions.push_back(output.predictions.index_select(0, index));
  }
  return output.loss_sum;
}

at::Tensor Pretraining::forward_mae(const PretrainingBatch& batch, uint64_t epoch, uint64_t step,
                                    Sums& sums) {
  std::vector<std::vector<int64_t>> visible;
  const int64_t time_blocks = model::draw_time_blocks(options_.regions, options_.seed, epoch, step);
  for (const uint64_t position : batch.positions) {
    visible.push_back(
        options_.mae_regions
            ? model::draw_regions(options_.regions, time_blocks, locations_, options_.seed, epoch, position)
                  .context
            : model::draw_visible_units(options_.regions.context_share, locations_, options_.seed, epoch,
                                        position));
  }
  const model::Stage2MaeOutput output = mae_->forward(batch.clips, batch.valid, visible);
  add_to(sums.divisor, output.divisor);
  return output.loss_sum;
}

at::Tensor Pretraining::forward(const PretrainingBatch& batch, uint64_t epoch, uint64_t step, bool logged,
                                Sums& sums) {
  if (static_cast<int64_t>(batch.positions.size()) != batch.clips.size(0)) {
    throw Error(message::kBug, "A batch needs the position of each of its clips.");
  }
  const at::Tensor loss_sum =
      jepa_ ? forward_jepa(batch, epoch, step, logged, sums) : forward_mae(batch, epoch, step, sums);
  add_to(sums.loss, loss_sum);
  return loss_sum;
}

void Pretraining::accumulate(const PretrainingBatch& batch, uint64_t epoch, uint64_t step, bool logged) {
  forward(batch, epoch, step, logged, step_).backward();
  optimiser_->gather_gradients();
}

PretrainingLosses Pretraining::read(const Sums& sums) {
  PretrainingLosses losses{.loss = (sums.loss / sums.divisor).item<double>()};
  for (size_t i = 0; i < losses.regions.size(); ++i) {
    losses.regions[i] = sums.region_rows[i] > 0 ? sums.regions[static_cast<int64_t>(i)].item<double>() /
                                                      static_cast<double>(sums.region_rows[i])
                                                : std::numeric_limits<double>::quiet_NaN();
  }
  return losses;
}

StepReport Pretraining::finish_step() {
  const int64_t step = optimiser_->steps_taken();
  const at::Tensor norm = optimiser_->step(step_.divisor, options_.schedule, options_.schedule);
  if (ema_) {
    ema_->update(ema_momentum(options_.ema, step, options_.schedule.steps));
  }
  StepReport report{.losses = read(step_),
                    .gradient_norm = norm.item<double>(),
                    .rate = learning_rate(options_.schedule, 1.0, step)};
  report.finite = std::isfinite(report.losses.loss) && std::isfinite(report.gradient_norm);
  if (!step_.targets.empty() && report.finite) {
    report.monitors = monitor_rows(at::cat(step_.targets), at::cat(step_.predictions), step_.cells);
    watch_.add(step, *report.monitors);
  }
  report.verdict = watch_.verdict();
  step_ = {};
  return report;
}

void Pretraining::validate(const PretrainingBatch& batch, uint64_t step) {
  const at::NoGradGuard no_gradient;
  forward(batch, 0, step, false, validation_);
}

PretrainingLosses Pretraining::finish_validation() {
  const PretrainingLosses losses = read(validation_);
  validation_ = {};
  return losses;
}

Parameters Pretraining::state() const {
  Parameters all = optimiser_->state();
  if (ema_) {
    for (const auto& [key, tensor] : ema_->averages()) {
      all["ema." + key] = tensor;
    }
  }
  return all;
}

void Pretraining::resume(int64_t steps_taken, const CollapseWatch::State& watch) {
  optimiser_->resume(steps_taken);
  if (ema_) {
    ema_->publish();
  }
  watch_.restore(watch);
}

Parameters Pretraining::exported(bool from_target) const {
  Parameters all = optimiser_->masters();
  if (from_target && ema_) {
    for (const auto& [key, average] : ema_->averages()) {
      all[key] = average;
    }
  }
  return all;
}

}  // namespace slim::train
