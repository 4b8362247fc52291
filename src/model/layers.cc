// SPDX-License-Identifier: Apache-2.0
#include "model/layers.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

namespace slim::model {

LinearImpl::LinearImpl(int64_t in, int64_t out)
    : weight(register_parameter("weight", at::zeros({out, in}))),
      bias(register_parameter("bias", at::zeros({out}))) {}

at::Tensor LinearImpl::forward(const at::Tensor& x) const { return at::linear(x, weight, bias); }

LayerNormImpl::LayerNormImpl(int64_t dim, double eps)
    : weight(register_parameter("weight", at::ones({dim}))),
      bias(register_parameter("bias", at::zeros({dim}))),
      eps_(eps) {}

at::Tensor LayerNormImpl::forward(const at::Tensor& x) const {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, eps_);
}

MlpImpl::MlpImpl(int64_t dim, int64_t hidden)
    : fc1(register_module("fc1", Linear(dim, hidden))), fc2(register_module("fc2", Linear(hidden, dim))) {}

at::Tensor MlpImpl::forward(const at::Tensor& x) const { return fc2->forward(at::gelu(fc1->forward(x))); }

}  // namespace slim::model
