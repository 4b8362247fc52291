// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/init_weights.h"

#include <cmath>

#include "core/seed.h"

namespace slim::model {

std::vector<float> initial_values(const TensorSpec& tensor, uint64_t seed, uint64_t index) {
  const auto contains = [&](const char* part) { return tensor.name.find(part) != std::string::npos; };
  std::vector<float> values(static_cast<size_t>(tensor.count()));
  if (tensor.shape.size() == 1) {
    const bool scale = contains("norm") && tensor.name.ends_with("weight");
    values.assign(values.size(), scale ? 1.0f : 0.0f);
    return values;
  }
  Stream stream(seed, "init", 0, index);
  const auto fan_out = static_cast<double>(tensor.shape.at(0));
  const double fan_in = static_cast<double>(tensor.count()) / fan_out;
  const double limit = std::sqrt(6.0 / (fan_in + fan_out));
  const bool position = contains("pos_embed") || tensor.name.ends_with("mask_token");
  for (float& value : values) {
    value = static_cast<float>(position ? 0.02 * stream.normal() : limit * (2.0 * stream.uniform() - 1.0));
  }
  return values;
}

}  // namespace slim::model
