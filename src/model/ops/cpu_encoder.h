// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/hiera_encoder.h"
#include "model/ops/cpu_kernels.h"

namespace slim::model::cpu {

/// The final rows [rows(2), width], clip-major, of a forward pass without gradient: every mask unit goes
/// through the first blocks on its own, so that its rows stay in the cache and no large intermediate exists.
/// The encoder fits the kernels (see fits_kernels). With `stage_rows` the rows at the ends of stages 0 and 1
/// are kept there, location-major.
at::Tensor final_rows(const Kernels& kernels, const HieraEncoderImpl& encoder, const at::Tensor& clip,
                      const TokenLayout& layout, const RowWatcher& watch,
                      std::array<at::Tensor, 2>* stage_rows = nullptr);

}  // namespace slim::model::cpu
