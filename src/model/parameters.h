// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace torch::nn {
class Module;
}

namespace slim::model {

/// Parameters by their key in a checkpoint, in the order of the keys.
using Parameters = std::map<std::string, at::Tensor>;

/// Adds a module's parameters under their names. Error SB9001 when a name is there already.
void add_parameters(Parameters& parameters, const torch::nn::Module& module);

/// Whether gradients are wanted for all of them.
void set_requires_grad(const Parameters& parameters, bool wanted);

/// Copies values key by key; the receivers' keys must exist in `from` with the same shapes (Error SB9001).
void copy_values(const Parameters& from, const Parameters& to);

/// The values of a tensor of any device, float32, row by row.
std::vector<float> values_of(const at::Tensor& tensor);

}  // namespace slim::model
