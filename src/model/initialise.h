// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "model/hiera_encoder.h"
#include "model/parameters.h"

namespace slim::model {

/// Gives every parameter its random start: matrices xavier-uniform, biases 0, norms 1 and 0, positions and
/// mask tokens normal(0, 0.02). A function of the seed and of a key's place among the sorted keys.
void init_parameters(const Parameters& parameters, uint64_t seed);
void init_parameters(HieraEncoder& encoder, uint64_t seed);

}  // namespace slim::model
