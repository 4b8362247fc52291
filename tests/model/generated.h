// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>

#include "core/token_set.h"
#include "model/hiera_encoder.h"

namespace slim::model::testing {

/// float32(offset + scale * (2 u(name, i) - 1)), u from splitmix64(fnv1a64(name) + i): the rule of the
/// reference cases.
at::Tensor generated(const std::string& name, at::IntArrayRef shape, double scale, double offset = 0.0);
/// Gives every parameter the values of `prefix` + its key.
void generate_parameters(torch::nn::Module& module, const std::string& prefix = "");
void generate_parameters(HieraEncoder& encoder, const std::string& prefix = "");
/// An encoder with generated weights.
HieraEncoder generated_encoder(const EncoderOptions& options, const std::string& prefix = "");
/// [1, 40, 96, 96, 96], unit variance.
at::Tensor generated_clip(const std::string& name = "clip");
/// A dense clip that is 0 outside the packaged brain mask.
at::Tensor only_brain(const at::Tensor& dense);

/// max |a - b| / max |b|, in double.
double relative_difference(const at::Tensor& a, const at::Tensor& b);

/// The folder of the reference cases: SLIM_REFERENCE_DIR, else ../shared/reference beside the sources.
std::filesystem::path reference_folder();

}  // namespace slim::model::testing
