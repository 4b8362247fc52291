// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace slim::model {

/// A differentiable function of rows whose parameters it holds itself.
using RowFunction = std::function<at::Tensor(const at::Tensor&)>;

/// f(x), keeping x alone for the backward pass, which runs f again: the same values and gradients bit for bit
/// as f(x), since f is a pure function. Works with backward() (gradients of parameters are accumulated where
/// they lie), not with autograd::grad over parameters inside f.
at::Tensor recomputed(const RowFunction& f, const at::Tensor& x);

}  // namespace slim::model
