// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "model/hiera_encoder.h"
#include "model/ops/cpu_kernels.h"

namespace slim::model::cpu {

/// A norm's parameters.
struct Norm {
  const float* weight = nullptr;
  const float* bias = nullptr;
  float eps = 0;
};

/// One block's weights, packed.
struct PackedBlock {
  BlockShape shape;
  Norm norm1, norm2;
  Packed qkv, proj, fc1, fc2;
  Packed skip;  // panels null unless the width doubles
};

/// An encoder's weights as the CPU kernels read them. The encoder outlives it.
struct PackedEncoder {
  std::vector<PackedBlock> blocks;
  Packed embed;
  const float* position_time = nullptr;   // [40, E]
  const float* position_space = nullptr;  // [13824, E]
  std::unique_ptr<float[]> storage;
};

/// True when the kernels can run this encoder: float32 on the CPU, contiguous, widths and head sizes
/// multiples of 16.
bool fits_kernels(const HieraEncoderImpl& encoder);
PackedEncoder pack_encoder(const HieraEncoderImpl& encoder);

}  // namespace slim::model::cpu
