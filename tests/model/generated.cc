// SPDX-License-Identifier: Apache-2.0
#include "generated.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <cmath>
#include <cstdlib>

namespace slim::model::testing {
namespace {

uint64_t splitmix64(uint64_t x) {
  uint64_t z = x + 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

uint64_t fnv1a64_of(const std::string& name) {
  uint64_t h = 0xCBF29CE484222325U;
  for (const char c : name) {
    h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  }
  return h;
}

at::Tensor generated_parameter(const std::string& prefix, const std::string& key, at::IntArrayRef shape) {
  const std::string name = prefix + key;
  if (key.find("norm") != std::string::npos && key.ends_with("weight")) {
    return generated(name, shape, 0.1, 1.0);
  }
  if (shape.size() <= 1 || key.find("pos_embed") != std::string::npos || key.ends_with("token")) {
    return generated(name, shape, 0.05);
  }
  const int64_t fan_in = c10::multiply_integers(shape) / shape[0];
  return generated(name, shape, std::sqrt(3.0 / static_cast<double>(fan_in)));
}

}  // namespace

at::Tensor generated(const std::string& name, at::IntArrayRef shape, double scale, double offset) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* out = tensor.data_ptr<float>();
  const uint64_t start = fnv1a64_of(name);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    const double u = static_cast<double>(splitmix64(start + static_cast<uint64_t>(i)) >> 40) / 16777216.0;
    out[i] = static_cast<float>(offset + scale * (2.0 * u - 1.0));
  }
  return tensor;
}

void generate_parameters(torch::nn::Module& module, const std::string& prefix) {
  const at::NoGradGuard no_gradient;
  for (auto& item : module.named_parameters()) {
    item.value().copy_(generated_parameter(prefix, item.key(), item.value().sizes()));
  }
}

void generate_parameters(HieraEncoder& encoder, const std::string& prefix) {
  generate_parameters(*encoder, prefix);
}

HieraEncoder generated_encoder(const EncoderOptions& options, const std::string& prefix) {
  HieraEncoder encoder(options);
  generate_parameters(encoder, prefix);
  return encoder;
}

at::Tensor generated_clip(const std::string& name) {
  return generated(name, {1, kClipFrames, kSlimSize, kSlimSize, kSlimSize}, std::sqrt(3.0));
}

at::Tensor only_brain(const at::Tensor& dense) {
  const std::vector<uint8_t>& mask = packaged_brain_mask();  // x fastest
  const at::Tensor flags =
      at::from_blob(const_cast<uint8_t*>(mask.data()), {kSlimSize, kSlimSize, kSlimSize}, at::kByte);
  return dense * flags.permute({2, 1, 0}).to(at::kFloat);
}

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().to(at::kDouble).reshape({-1}), y = b.detach().to(at::kDouble).reshape({-1});
  return ((x - y).abs().max() / y.abs().max()).item<double>();
}

std::filesystem::path reference_folder() {
  const char* const named = std::getenv("SLIM_REFERENCE_DIR");
  return named != nullptr ? std::filesystem::path(named)
                          : std::filesystem::path(SLIM_SOURCE_DIR) / "../shared/reference";
}

}  // namespace slim::model::testing
