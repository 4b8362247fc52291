// SPDX-License-Identifier: Apache-2.0
#include "train/finetuning.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "core/error.h"
#include "model/device/upload.h"
#include "model/initialise.h"

namespace slim::train {
namespace {

constexpr const char* kHeadWeight = "head.projection.weight";
constexpr const char* kHeadBias = "head.projection.bias";

at::Tensor class_tensor(std::span<const double> truth, int64_t classes) {
  at::Tensor indices = at::empty({static_cast<int64_t>(truth.size())}, at::kLong);
  int64_t* out = indices.data_ptr<int64_t>();
  for (const double value : truth) {
    const auto index = static_cast<int64_t>(value);
    if (index < 0 || index >= classes) {
      throw Error(message::kBug, "A class index is out of range.", {.found = std::to_string(value)});
    }
    *out++ = index;
  }
  return indices;
}

at::Tensor number_tensor(std::span<const double> values) {
  at::Tensor numbers = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), numbers.data_ptr<double>());
  return numbers;
}

at::Tensor on_device_of(const at::Tensor& outputs, const at::Tensor& numbers) {
  return model::upload(numbers.to(outputs.scalar_type()), outputs.device());
}

}  // namespace

at::Tensor head_losses(const at::Tensor& outputs, std::span<const double> truth,
                       const FinetuningOptions& options) {
  if (outputs.dim() != 2 || outputs.size(0) != static_cast<int64_t>(truth.size()) ||
      outputs.size(1) != options.outputs()) {
    throw Error(message::kBug, "Outputs of a head do not fit what is to be predicted.");
  }
  if (options.classes == 0) {
    return (outputs.select(1, 0) - on_device_of(outputs, number_tensor(truth))).square();
  }
  const at::Tensor weights = options.class_weights.empty()
                                 ? at::Tensor()
                                 : on_device_of(outputs, number_tensor(options.class_weights));
  return at::cross_entropy_loss(outputs,
                                model::upload(class_tensor(truth, options.classes), outputs.device()),
                                weights, at::Reduction::None);
}

Finetuning::Finetuning(const FinetuningOptions& options, model::HieraEncoder encoder, at::Device device,
                       at::ScalarType type)
    : options_(options), device_(device), encoder_(std::move(encoder)) {
  options_.optimiser.groups.blocks = encoder_->options().blocks();
  head_weight_ = at::zeros({options_.outputs(), encoder_->options().width()});
  head_bias_ = at::zeros({options_.outputs()});
  model::init_parameters({{kHeadWeight, head_weight_}, {kHeadBias, head_bias_}}, options_.seed);
  head_weight_ = head_weight_.to(device);
  head_bias_ = head_bias_.to(device);
  Parameters start;
  for (const auto& item : encoder_->named_parameters()) {
    start[item.key()] = item.value().detach().clone();  // before it is rounded to `type`
  }
  encoder_->to(device, type);
  Parameters parameters{{kHeadWeight, head_weight_}, {kHeadBias, head_bias_}};
  model::add_parameters(parameters, *encoder_);
  model::set_requires_grad(parameters, true);
  optimiser_.emplace(parameters, options_.optimiser);
  Parameters masters = optimiser_->masters();
  masters.erase(kHeadWeight);
  masters.erase(kHeadBias);
  model::copy_values(start, masters);
}

at::Tensor Finetuning::forward(const at::Tensor& clips, const model::DropPath& drop_path) const {
  const model::TokenLayout layout(
      {.background = options_.background, .tokens = options_.tokens, .clips = clips.size(0)});
  const model::EncoderOutput output =
      encoder_->forward(clips, layout, {.recompute = options_.recompute, .drop_path = drop_path});
  return at::linear(output.pooled, head_weight_, head_bias_);
}

void Finetuning::accumulate(const FinetuningBatch& batch, uint64_t epoch) {
  const at::Tensor outputs = forward(
      batch.clips,
      {.rate = options_.drop_path, .seed = options_.seed, .epoch = epoch, .positions = batch.positions});
  const at::Tensor sum = head_losses(outputs, batch.truth, options_).sum();
  sum.backward();
  optimiser_->gather_gradients();
  loss_ = loss_.defined() ? loss_ + sum.detach() : sum.detach();
  clips_ += batch.clips.size(0);
}

FinetuningReport Finetuning::finish_step() {
  const int64_t step = optimiser_->steps_taken();
  const at::Tensor divisor = at::full({}, static_cast<double>(clips_), at::device(device_).dtype(at::kFloat));
  const at::Tensor norm = optimiser_->step(divisor, options_.schedule, options_.head_schedule);
  FinetuningReport report{.loss = loss_.item<double>() / static_cast<double>(clips_),
                          .gradient_norm = norm.item<double>(),
                          .rate = learning_rate(options_.schedule, 1.0, step),
                          .head_rate = learning_rate(options_.head_schedule, 1.0, step)};
  report.finite = std::isfinite(report.loss) && std::isfinite(report.gradient_norm);
  loss_ = at::Tensor();
  clips_ = 0;
  return report;
}

at::Tensor Finetuning::predict(const at::Tensor& clips) const {
  const at::NoGradGuard no_gradient;
  return forward(clips, {}).to(at::kCPU, at::kFloat);
}

Parameters Finetuning::state() const { return optimiser_->state(); }

void Finetuning::resume(int64_t steps_taken) { optimiser_->resume(steps_taken); }

}  // namespace slim::train
