// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/encoder_options.h"
#include "model/token_layout.h"

namespace slim::model {

/// Floating-point operations of a forward pass: 2 a multiply-add, linear layers and attention, nothing else.
struct Flops {
  double attention = 0;  // 4 x queries x keys x width
  double linear = 0;
  double total() const { return attention + linear; }
};

/// Counts the encoder's forward pass over all clips of a layout.
Flops count_encoder_flops(const EncoderOptions& options, const TokenLayout& layout);

}  // namespace slim::model
