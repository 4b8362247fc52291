// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

namespace slim::model {

// Parameters start at 0 (norm weights at 1) and get their values from init_parameters or a checkpoint: no
// global generator is ever asked.

/// y = x W^T + b with parameters `weight` [out, in] and `bias` [out].
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out);
  at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight, bias;
};
TORCH_MODULE(Linear);

/// Layer normalisation over the last dimension with parameters `weight` and `bias` [dim].
class LayerNormImpl : public torch::nn::Module {
 public:
  LayerNormImpl(int64_t dim, double eps);
  at::Tensor forward(const at::Tensor& x) const;
  double eps() const { return eps_; }

  at::Tensor weight, bias;

 private:
  double eps_;
};
TORCH_MODULE(LayerNorm);

/// The two layers with an exact GELU between them: `fc1` [hidden, dim], `fc2` [dim, hidden].
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(int64_t dim, int64_t hidden);
  at::Tensor forward(const at::Tensor& x) const;

  Linear fc1, fc2;
};
TORCH_MODULE(Mlp);

}  // namespace slim::model
