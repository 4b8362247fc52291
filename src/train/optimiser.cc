// SPDX-License-Identifier: Apache-2.0
#include "train/optimiser.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <charconv>
#include <cmath>
#include <map>
#include <string>

#include "core/error.h"

namespace slim::train {
namespace {

bool decays(std::string_view key) {
  return !key.ends_with(".bias") && !key.ends_with("_token") && key.find("norm") == std::string_view::npos &&
         key.find("pos_embed") == std::string_view::npos;
}

/// Layers between a key and the output of an encoder of n blocks.
int64_t depth_below(std::string_view key, int64_t n) {
  constexpr std::string_view kBlocks = "blocks.";
  if (key.starts_with(kBlocks)) {
    int64_t block = 0;
    std::from_chars(key.data() + kBlocks.size(), key.data() + key.size(), block);
    return n - block;
  }
  return key.starts_with("patch_embed.") || key.starts_with("pos_embed") ? n + 1 : 0;
}

}  // namespace

Group group_of(std::string_view key, const GroupOptions& options) {
  return {.scale = std::pow(options.layer_decay, static_cast<double>(depth_below(key, options.blocks))),
          .weight_decay = decays(key) ? options.weight_decay : 0.0,
          .head = key.starts_with("head.")};
}

Optimiser::Optimiser(const Parameters& parameters, const OptimiserOptions& options)
    : parameters_(parameters), options_(options) {
  const at::NoGradGuard no_gradient;
  std::map<Group, Members> groups;
  size_t place = 0;
  for (const auto& [key, parameter] : parameters_) {
    // detach: the same memory, without a tape.
    const at::Tensor master = parameter.detach().to(at::kFloat);
    masters_[key] = master;
    first_[key] = at::zeros_like(master, at::MemoryFormat::Contiguous);
    second_[key] = at::zeros_like(master, at::MemoryFormat::Contiguous);
    Members& members = groups[group_of(key, options_.groups)];
    members.masters.push_back(master);
    members.first.push_back(first_[key]);
    members.second.push_back(second_[key]);
    members.places.push_back(place++);
  }
  for (auto& [group, members] : groups) {
    members.group = group;
    groups_.push_back(std::move(members));
  }
}

at::Tensor Optimiser::step(const at::Tensor& divisor, const Schedule& schedule,
                           const Schedule& head_schedule) {
  const at::NoGradGuard no_gradient;
  gather_gradients();
  std::vector<at::Tensor> gradients;
  for (const auto& [key, parameter] : parameters_) {
    const auto sum = sums_.find(key);
    gradients.push_back(sum != sums_.end() ? sum->second : parameter.grad());
    if (!gradients.back().defined()) {
      throw Error(message::kBug, "The parameter " + key + " got no gradient.");
    }
  }
  const at::Tensor norm =
      at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients))).div_(divisor.to(at::kFloat));
  // The fused step divides gradients by this, so that neither norm nor divisor is waited for.
  const at::Tensor scale = (norm / options_.gradient_limit).clamp_min_(1.0).mul_(divisor.to(at::kFloat));
  const at::Tensor count = at::full({}, static_cast<double>(steps_ + 1), norm.options());
  for (const Members& members : groups_) {
    std::vector<at::Tensor> of_group;
    for (const size_t place : members.places) {
      of_group.push_back(gradients[place]);
    }
    const double rate =
        learning_rate(members.group.head ? head_schedule : schedule, members.group.scale, steps_);
    const std::vector<at::Tensor> counts(of_group.size(), count);
    at::_fused_adamw_(members.masters, of_group, members.first, members.second, {}, counts, rate,
                      options_.beta1, options_.beta2, members.group.weight_decay, options_.eps,
                      /*amsgrad=*/false, /*maximize=*/false, scale);
  }
  ++steps_;
  publish_masters();
  clear_gradients();
  return norm;
}

at::Tensor Optimiser::step(double divisor, const Schedule& schedule) {
  const at::Tensor on_device = at::full({}, divisor, masters_.begin()->second.options().requires_grad(false));
  return step(on_device, schedule, schedule);
}

void Optimiser::gather_gradients() {
  const at::NoGradGuard no_gradient;
  for (const auto& [key, parameter] : parameters_) {
    if (parameter.scalar_type() == at::kFloat || !parameter.grad().defined()) {
      continue;
    }
    const auto sum = sums_.find(key);
    if (sum == sums_.end()) {
      sums_[key] = parameter.grad().to(at::kFloat);
    } else {
      sum->second.add_(parameter.grad());
    }
    parameter.mutable_grad() = at::Tensor();
  }
}

void Optimiser::clear_gradients() {
  sums_.clear();
  for (const auto& [key, parameter] : parameters_) {
    parameter.mutable_grad() = at::Tensor();
  }
}

Parameters Optimiser::state() const {
  Parameters all;
  for (const auto& [prefix, parameters] : {std::pair("online.", &masters_), std::pair("exp_avg.", &first_),
                                           std::pair("exp_avg_sq.", &second_)}) {
    for (const auto& [key, tensor] : *parameters) {
      all[prefix + key] = tensor;
    }
  }
  return all;
}

void Optimiser::resume(int64_t steps_taken) {
  steps_ = steps_taken;
  publish_masters();
}

void Optimiser::publish_masters() {
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> working, masters;
  for (const auto& [key, parameter] : parameters_) {
    if (parameter.scalar_type() != at::kFloat) {
      working.push_back(parameter.detach());
      masters.push_back(masters_.at(key));
    }
  }
  if (!working.empty()) {
    at::_foreach_copy_(working, masters);
  }
}

}  // namespace slim::train
