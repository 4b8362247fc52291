// SPDX-License-Identifier: Apache-2.0
#include "model/load_encoder.h"

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "core/error.h"

namespace slim::model {

HieraEncoder load_encoder(const ModelFolder& model) {
  HieraEncoder encoder(model.config.encoder);
  const c10::NoGradGuard no_grad;
  for (const auto& parameter : encoder->named_parameters()) {
    const TensorSpec* stored = model.weights.find(parameter.key());
    if (stored == nullptr || stored->dtype != DType::F32 || stored->count() != parameter.value().numel()) {
      throw Error(message::kBug, "The tensor " + parameter.key() + " of a checked model does not fit.",
                  {.file = model.path.string()});
    }
    const std::span<const std::byte> bytes = model.weights.data(*stored);
    std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(parameter.value().data_ptr()));
  }
  encoder->eval();
  return encoder;
}

}  // namespace slim::model
