// SPDX-License-Identifier: Apache-2.0
#include "model/ops/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace slim::model {
namespace {

struct HeldFunction : torch::CustomClassHolder {
  explicit HeldFunction(RowFunction function) : f(std::move(function)) {}
  RowFunction f;
};

struct Recompute : torch::autograd::Function<Recompute> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const c10::intrusive_ptr<HeldFunction>& held) {
    context->save_for_backward({x});
    context->saved_data["f"] = c10::IValue::make_capsule(held);
    const at::NoGradGuard no_gradient;
    return held->f(x);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const at::Tensor x = context->get_saved_variables()[0].detach().requires_grad_(true);
    const auto held = c10::static_intrusive_pointer_cast<HeldFunction>(context->saved_data["f"].toCapsule());
    at::Tensor y;
    {
      const at::AutoGradMode with_gradient(true);
      y = held->f(x);
    }
    torch::autograd::backward({y}, {gradients[0]});
    return {x.grad(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recomputed(const RowFunction& f, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) {
    return f(x);
  }
  // Without an input that asks for a gradient the node would be left out and nothing inside be reached.
  const at::Tensor input = x.requires_grad() ? x : x.detach().requires_grad_(true);
  return Recompute::apply(input, c10::make_intrusive<HeldFunction>(f));
}

}  // namespace slim::model
