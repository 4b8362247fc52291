// SPDX-License-Identifier: Apache-2.0
#include "model/device/attention_backend.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "core/error.h"

namespace slim::model {
namespace {

/// Values without pattern that ask for no generator: rows [batch * rows, heads * head size], seen as the
/// network's are, [batch, heads, rows, head size].
at::Tensor pseudo_random(const AttentionShape& shape, int64_t rows, double phase) {
  const at::Tensor flat = at::arange(shape.batch * rows * shape.heads * shape.head_size, at::kDouble);
  const at::Tensor values = (flat.square().mul(0.7).add(phase)).sin().mul(1.4);
  return values.view({shape.batch, rows, shape.heads, shape.head_size}).transpose(1, 2);
}

/// Attention and its gradients for a fixed gradient of the result.
std::array<at::Tensor, 4> with_gradients(const std::array<at::Tensor, 3>& qkv, const at::Tensor& gradient,
                                         bool plain) {
  std::array<at::Tensor, 3> leaves;
  for (size_t i = 0; i < leaves.size(); ++i) {
    leaves[i] = qkv[i].detach().requires_grad_(true);
  }
  const auto& [q, k, v] = leaves;
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const at::Tensor y = plain ? at::matmul(at::softmax(at::matmul(q, k.transpose(2, 3)) * scale, -1), v)
                             : at::scaled_dot_product_attention(q, k, v);
  y.backward(gradient);
  return {y.detach(), q.grad(), k.grad(), v.grad()};
}

/// Shapes of every kind that the encoder has: one head and a large location, pooled queries, a location of
/// six tokens, lengths that are no multiple of anything, whole clips.
constexpr std::array<std::array<int64_t, 4>, 5> kCheckedShapes{
    {{1, 1, 4096, 4096}, {3, 2, 82, 760}, {5, 4, 6, 48}, {2, 4, 373, 373}, {1, 8, 907, 907}}};

at::SDPBackend checked_backend(at::Device device, at::ScalarType type, int64_t head_size, bool masked) {
  static std::mutex mutex;
  static std::map<std::tuple<int, at::ScalarType, int64_t, bool>, at::SDPBackend> settled;
  const std::scoped_lock lock(mutex);
  const auto key = std::make_tuple(static_cast<int>(device.index()), type, head_size, masked);
  const auto found = settled.find(key);
  if (found != settled.end()) {
    return found->second;
  }
  const auto worst = [&](at::SDPBackend backend) {
    double error = 0;
    for (const auto& [batch, heads, queries, keys] : kCheckedShapes) {
      error =
          std::max(error, attention_error(backend, {batch, heads, queries, keys, head_size}, device, type));
    }
    return error;
  };
  const std::vector<at::SDPBackend> backends = fused_backends(type, masked);
  const at::SDPBackend chosen =
      type == at::kDouble ? backends.front() : first_that_agrees(backends, attention_tolerance(type), worst);
  return settled.emplace(key, chosen).first->second;
}

}  // namespace

at::Tensor fused_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const std::optional<at::Tensor>& mask) {
  if (!q.is_cuda()) {
    return at::scaled_dot_product_attention(q, k, v, mask);
  }
  // The backward pass of a kernel is its own: nothing is chosen there.
  const OnlyBackend only(checked_backend(q.device(), q.scalar_type(), q.size(3), mask.has_value()));
  return at::scaled_dot_product_attention(q, k, v, mask);
}

std::vector<at::SDPBackend> fused_backends(at::ScalarType type, bool masked) {
  if (type == at::kDouble) {
    return {at::SDPBackend::math};
  }
  if (type == at::kFloat || masked) {
    return {at::SDPBackend::efficient_attention};
  }
  return {at::SDPBackend::flash_attention, at::SDPBackend::efficient_attention};
}

std::string_view name_of(at::SDPBackend backend) {
  switch (backend) {
    case at::SDPBackend::flash_attention:
      return "flash";
    case at::SDPBackend::efficient_attention:
      return "efficient";
    case at::SDPBackend::cudnn_attention:
      return "cudnn";
    default:
      return "math";
  }
}

at::SDPBackend first_that_agrees(const std::vector<at::SDPBackend>& backends, double tolerance,
                                 const std::function<double(at::SDPBackend)>& error_of) {
  std::string seen;
  for (const at::SDPBackend backend : backends) {
    std::string what;
    try {
      const double error = error_of(backend);
      if (error <= tolerance) {
        return backend;
      }
      what = "differs by " + std::to_string(error);
    } catch (const c10::Error& error) {
      what = error.what_without_backtrace();
    }
    seen += (seen.empty() ? "" : "; ") + std::string(name_of(backend)) + ": " + what;
  }
  throw Error(message::kNoDevice, "No attention kernel of this device gives what plain attention gives.",
              {.expected = "a relative difference of at most " + std::to_string(tolerance),
               .found = seen,
               .remedy = "use another device, or --device cpu"});
}

double attention_tolerance(at::ScalarType type) { return type == at::kFloat ? 1e-4 : 2e-2; }

double attention_error(at::SDPBackend backend, const AttentionShape& shape, at::Device device,
                       at::ScalarType type) {
  const c10::InferenceMode outside(false);
  const at::AutoGradMode with_gradients_on(true);
  const auto made = [&](int64_t rows, double phase) {
    return pseudo_random(shape, rows, phase).to(at::TensorOptions(device).dtype(type));
  };
  const std::array<at::Tensor, 3> qkv{made(shape.queries, 0.1), made(shape.keys, 1.3), made(shape.keys, 2.9)};
  const at::Tensor gradient = made(shape.queries, 4.7);
  std::array<at::Tensor, 4> found, expected;
  {
    const OnlyBackend only(backend);
    found = with_gradients(qkv, gradient, false);
  }
  const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
  expected = with_gradients({wide(qkv[0]), wide(qkv[1]), wide(qkv[2])}, wide(gradient), true);
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double error =
        ((wide(found[i]) - expected[i]).abs().max() / expected[i].abs().max()).item<double>();
    worst = std::isfinite(error) ? std::max(worst, error) : HUGE_VAL;
  }
  return worst;
}

OnlyBackend::OnlyBackend(at::SDPBackend backend)
    : flash_(at::globalContext().userEnabledFlashSDP()),
      efficient_(at::globalContext().userEnabledMemEfficientSDP()),
      cudnn_(at::globalContext().userEnabledCuDNNSDP()),
      math_(at::globalContext().userEnabledMathSDP()) {
  at::Context& context = at::globalContext();
  context.setSDPUseFlash(backend == at::SDPBackend::flash_attention);
  context.setSDPUseMemEfficient(backend == at::SDPBackend::efficient_attention);
  context.setSDPUseCuDNN(backend == at::SDPBackend::cudnn_attention);
  context.setSDPUseMath(backend == at::SDPBackend::math);
}

OnlyBackend::~OnlyBackend() {
  at::Context& context = at::globalContext();
  context.setSDPUseFlash(flash_);
  context.setSDPUseMemEfficient(efficient_);
  context.setSDPUseCuDNN(cudnn_);
  context.setSDPUseMath(math_);
}

}  // namespace slim::model
