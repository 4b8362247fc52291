// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/safetensors.h"

namespace slim::model {

/// Random start of the tensor at place `index` of the sorted names (the same numbers as init_parameters of
/// model/initialise.h): matrices uniform in +-sqrt(6 / (fan_in + fan_out)), positions and mask tokens normal(0, 0.02), norm
/// weights 1, other vectors 0; drawn from stream (seed, "init", 0, index).
std::vector<float> initial_values(const TensorSpec& tensor, uint64_t seed, uint64_t index);

}  // namespace slim::model
