// SPDX-License-Identifier: Apache-2.0
#include "model/initialise.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "core/seed.h"

namespace slim::model {
namespace {

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

void init_parameter(const std::string& name, at::Tensor parameter, Stream stream) {
  if (parameter.dim() == 1) {
    parameter.fill_(contains(name, "norm") && name.ends_with("weight") ? 1.0 : 0.0);
    return;
  }
  at::Tensor values = at::empty(parameter.sizes(), at::kFloat);
  float* out = values.data_ptr<float>();
  const auto fan_out = static_cast<double>(parameter.size(0));
  const double fan_in = static_cast<double>(parameter.numel()) / fan_out;
  const double limit = std::sqrt(6.0 / (fan_in + fan_out));
  const bool position = contains(name, "pos_embed") || name.ends_with("mask_token");
  for (int64_t i = 0; i < values.numel(); ++i) {
    out[i] = static_cast<float>(position ? 0.02 * stream.normal() : limit * (2.0 * stream.uniform() - 1.0));
  }
  parameter.copy_(values);
}

}  // namespace

void init_parameters(const Parameters& parameters, uint64_t seed) {
  const at::NoGradGuard no_gradient;
  uint64_t index = 0;
  for (const auto& [name, parameter] : parameters) {
    init_parameter(name, parameter, Stream(seed, "init", 0, index++));
  }
}

void init_parameters(HieraEncoder& encoder, uint64_t seed) {
  Parameters parameters;
  add_parameters(parameters, *encoder);
  init_parameters(parameters, seed);
}

}  // namespace slim::model
