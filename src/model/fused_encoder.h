// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/fusion_heads.h"
#include "model/hiera_encoder.h"
#include "model/parameters.h"

namespace slim::model {

/// The encoder as pre-training uses it: final rows plus what the fusion heads add, then encoder_norm.
class FusedEncoder {
 public:
  /// Without `fusion` the final rows go to encoder_norm as they are.
  explicit FusedEncoder(const EncoderOptions& options, bool fusion = true);
  /// [rows(2), width], clip-major; float16 clips as HieraEncoder takes them. With `recompute` the backward
  /// pass runs blocks again.
  at::Tensor rows(const at::Tensor& clip, const TokenLayout& layout, bool recompute = false) const;
  /// Under the names of a checkpoint.
  Parameters parameters() const;
  /// Moves and casts all parameters in place.
  void to(at::Device device, at::ScalarType type);

  HieraEncoder encoder;
  FusionHeads fusion{nullptr};
};

}  // namespace slim::model
