// SPDX-License-Identifier: Apache-2.0
#include "model/parameters.h"

#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include "core/error.h"

namespace slim::model {

void add_parameters(Parameters& parameters, const torch::nn::Module& module) {
  for (const auto& item : module.named_parameters()) {
    if (!parameters.emplace(item.key(), item.value()).second) {
      throw Error(message::kBug, "Two parameters have the key " + item.key() + ".");
    }
  }
}

void set_requires_grad(const Parameters& parameters, bool wanted) {
  for (const auto& [key, tensor] : parameters) {
    tensor.set_requires_grad(wanted);
  }
}

void copy_values(const Parameters& from, const Parameters& to) {
  const at::NoGradGuard no_gradient;
  for (const auto& [key, tensor] : to) {
    const auto found = from.find(key);
    if (found == from.end() || found->second.sizes() != tensor.sizes()) {
      throw Error(message::kBug, "There is no parameter " + key + " of the shape that is to be filled.");
    }
    tensor.copy_(found->second);
  }
}

std::vector<float> values_of(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  const float* first = values.const_data_ptr<float>();
  return {first, first + values.numel()};
}

}  // namespace slim::model
