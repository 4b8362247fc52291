// SPDX-License-Identifier: Apache-2.0
#include "train/ema.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>

#include <vector>

#include "core/error.h"

namespace slim::train {

Ema::Ema(const model::Parameters& online, const model::Parameters& target) : target_(target) {
  const at::NoGradGuard no_gradient;
  for (const auto& [key, parameter] : target_) {
    const auto found = online.find(key);
    if (found == online.end() || found->second.scalar_type() != at::kFloat) {
      throw Error(message::kBug, "The moving average has no float32 source for " + key + ".");
    }
    online_[key] = found->second.detach();
    averages_[key] = parameter.detach().to(at::kFloat);  // the target itself where it is float32
  }
}

void Ema::update(double momentum) {
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> averages, online;
  for (const auto& [key, average] : averages_) {
    averages.push_back(average);
    online.push_back(online_.at(key));
  }
  at::_foreach_lerp_(averages, online, 1.0 - momentum);
  publish();
}

void Ema::publish() {
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> working, averages;
  for (const auto& [key, parameter] : target_) {
    if (parameter.scalar_type() != at::kFloat) {
      working.push_back(parameter.detach());
      averages.push_back(averages_.at(key));
    }
  }
  if (!working.empty()) {
    at::_foreach_copy_(working, averages);
  }
}

}  // namespace slim::train
