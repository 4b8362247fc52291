// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/SDPBackend.h>
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace slim::model {

// Note [Attention kernels]. torch chooses among kernels for attention, and where none fits it falls silently
// to the plain form, which stores all scores: 4.5 GB a block and clip. On CUDA devices one kernel is allowed
// at a time, so that a shape it cannot take is an error. Which one is settled at the first use of a type and
// head size: the first of `fused_backends` whose results and gradients agree with plain attention on shapes
// like ours, on this very device. cuDNN is left out: it prepares every shape anew, and ours change with the
// masks of each step.
/// softmax(q k^T / sqrt(head size)) v of 4-D q, k, v [batch, heads, rows, head size], with a bool mask of the
/// keys where one is given (Note [Attention kernels]). Error SB4003 when no kernel of a CUDA device agrees.
at::Tensor fused_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const std::optional<at::Tensor>& mask = std::nullopt);

/// The kernels for a type on CUDA, the fastest first; the plain form for float64, which serves tests.
std::vector<at::SDPBackend> fused_backends(at::ScalarType type, bool masked);

/// "flash", "efficient", "cudnn" or "math".
std::string_view name_of(at::SDPBackend backend);

/// The first whose error is at most the tolerance; one that throws c10::Error is passed over. Error SB4003,
/// naming them and their errors, when there is none.
at::SDPBackend first_that_agrees(const std::vector<at::SDPBackend>& backends, double tolerance,
                                 const std::function<double(at::SDPBackend)>& error_of);

/// Attention's shape: [batch, heads, queries or keys, head size].
struct AttentionShape {
  int64_t batch = 1, heads = 1, queries = 0, keys = 0, head_size = 0;
};

/// Largest difference of a kernel's result and gradients from plain attention in float64 on the same random
/// values, each relative to the largest value.
double attention_error(at::SDPBackend backend, const AttentionShape& shape, at::Device device,
                       at::ScalarType type);

/// What a kernel may differ by: 1e-4 in float32, 2e-2 in bfloat16.
double attention_tolerance(at::ScalarType type);

/// Allows one kernel of scaled_dot_product_attention while it lives; torch throws c10::Error where that one
/// cannot take a shape. The choice is the process's: one thread at a time.
class OnlyBackend {
 public:
  explicit OnlyBackend(at::SDPBackend backend);
  OnlyBackend(const OnlyBackend&) = delete;
  OnlyBackend& operator=(const OnlyBackend&) = delete;
  ~OnlyBackend();

 private:
  bool flash_, efficient_, cudnn_, math_;  // as they were
};

}  // namespace slim::model
