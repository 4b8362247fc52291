// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/safetensors.h"

namespace slim::model {

/// Elements of type F16, BF16, F32 or F64 as float32 (F64 is rounded). Error SB9001 for other types.
std::vector<float> to_float32(std::span<const std::byte> bytes, DType dtype);

/// Whether to_float32 takes the type.
bool is_floating(DType dtype);

}  // namespace slim::model
