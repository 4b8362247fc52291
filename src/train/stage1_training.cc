// SPDX-License-Identifier: Apache-2.0
#include "train/stage1_training.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <string>

namespace slim::train {
namespace {

model::GlobalMae started(const Stage1Options& options, at::Device device) {
  model::GlobalMae network(options.network);
  model::init_global_mae(network, options.seed);
  network->to(device);
  return network;
}

Parameters named(const model::GlobalMae& network) {
  Parameters parameters;
  for (const auto& item : network->named_parameters()) {
    parameters[std::string(model::kGlobalMaePrefix) + item.key()] = item.value();
  }
  return parameters;
}

}  // namespace

Stage1Training::Stage1Training(const Stage1Options& options, at::Device device)
    : options_(options),
      device_(device),
      network_(started(options, device)),
      optimiser_(named(network_), options.optimiser) {}

at::Tensor Stage1Training::forward(std::span<const model::RoiPiece> pieces, uint64_t epoch,
                                   uint64_t first_position, Sums& sums) {
  const model::RoiBatch batch = model::make_roi_batch(options_.network, pieces);
  const at::Tensor masked = model::draw_token_masks(batch, options_.seed, epoch, first_position).to(device_);
  const model::RoiBatch moved = batch.to(device_, at::kFloat);
  const model::MaskedError error = model::masked_error(network_->forward(moved, masked), moved, masked);
  const auto add = [](at::Tensor& sum, const at::Tensor& more) {
    sum = sum.defined() ? sum + more.detach() : more.detach();
  };
  add(sums.error, error.error);
  add(sums.zero, error.zero);
  add(sums.entries, error.entries);
  return error.error;
}

void Stage1Training::accumulate(std::span<const model::RoiPiece> pieces, uint64_t epoch,
                                uint64_t first_position) {
  forward(pieces, epoch, first_position, step_).backward();
}

Stage1Losses Stage1Training::read(const Sums& sums) {
  return {.loss = (sums.error / sums.entries).item<double>(),
          .skill = 1.0 - (sums.error / sums.zero).item<double>()};
}

Stage1Report Stage1Training::finish_step() {
  const int64_t step = optimiser_.steps_taken();
  const at::Tensor norm = optimiser_.step(step_.entries, options_.schedule, options_.schedule);
  Stage1Report report{.losses = read(step_),
                      .gradient_norm = norm.item<double>(),
                      .rate = learning_rate(options_.schedule, 1.0, step)};
  report.finite = std::isfinite(report.losses.loss) && std::isfinite(report.gradient_norm);
  step_ = {};
  return report;
}

void Stage1Training::validate(std::span<const model::RoiPiece> pieces, uint64_t first_position) {
  const at::NoGradGuard no_gradient;
  forward(pieces, 0, first_position, validation_);
}

Stage1Losses Stage1Training::finish_validation() {
  const Stage1Losses losses = read(validation_);
  validation_ = {};
  return losses;
}

Parameters Stage1Training::state() const { return optimiser_.state(); }

void Stage1Training::resume(int64_t steps_taken) { optimiser_.resume(steps_taken); }

}  // namespace slim::train
