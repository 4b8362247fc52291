// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "model/encoder_options.h"

namespace slim::model {

/// The published names, shapes of the encoder's tensors (300 at `base`, 72 at `tiny`), all F32, sorted by
/// name.
std::vector<TensorSpec> encoder_tensors(const EncoderOptions& options);

/// Fusion heads (`multi_scale_fusion_heads.*`), which serve pre-training only, sorted by name.
std::vector<TensorSpec> fusion_tensors(const EncoderOptions& options);

/// The predictor (or MAE decoder): blocks of constant width over the 10 x 6 x 6 x 6 final cells.
struct PredictorShape {
  int64_t width = 512;
  int64_t depth = 8;
  int64_t output = 512;  // columns of decoder_pred
  bool operator==(const PredictorShape&) const = default;
};

/// `mask_token` and `decoder_*`, sorted by name.
std::vector<TensorSpec> predictor_tensors(const EncoderOptions& options, const PredictorShape& shape);

/// Sum of the tensors' element counts.
int64_t parameter_count(const std::vector<TensorSpec>& tensors);

/// "4 x 64" as text, "scalar" for no dimension.
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace slim::model
