// SPDX-License-Identifier: Apache-2.0
#include "model/fused_encoder.h"

namespace slim::model {

FusedEncoder::FusedEncoder(const EncoderOptions& options, bool with_fusion) : encoder(options) {
  if (with_fusion) {
    fusion = FusionHeads(options);
  }
}

at::Tensor FusedEncoder::rows(const at::Tensor& clip, const TokenLayout& layout, bool recompute) const {
  const EncoderOutput output = encoder->forward(
      clip, layout,
      {.rows = true, .stage_rows = !fusion.is_empty(), .pooled = false, .recompute = recompute});
  return encoder->encoder_norm->forward(
      fusion.is_empty() ? output.rows : fusion->forward(output.stage_rows, output.rows, layout));
}

Parameters FusedEncoder::parameters() const {
  Parameters all;
  add_parameters(all, *encoder);
  if (!fusion.is_empty()) {
    add_parameters(all, *fusion);
  }
  return all;
}

void FusedEncoder::to(at::Device device, at::ScalarType type) {
  encoder->to(device, type);
  if (!fusion.is_empty()) {
    fusion->to(device, type);
  }
}

}  // namespace slim::model
