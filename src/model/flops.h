// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/encoder_options.h"
#include "model/predictor.h"
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

/// The fusion heads over all final rows of a layout, absent children included.
Flops count_fusion_flops(const EncoderOptions& options, const TokenLayout& layout);

/// A predictor or decoder over its rows.
Flops count_predictor_flops(const PredictorOptions& options, const PredictorRows& rows);

}  // namespace slim::model
