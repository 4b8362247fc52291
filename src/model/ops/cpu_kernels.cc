// SPDX-License-Identifier: Apache-2.0
#include "model/ops/cpu_kernels.h"

#include <algorithm>

namespace slim::model::cpu {

extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;

std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> kernels;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("fma")) {
    kernels.push_back(&kAvx512Kernels);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kernels.push_back(&kAvx2Kernels);
  }
  return kernels;
}

void pack_keys_values(const float* k, const float* v, int64_t ld, int64_t nk, int64_t head, float* keys,
                      float* values) {
  for (int64_t first = 0; first < nk; first += kPanel) {
    float* const panel = keys + first * head;
    const int64_t count = std::min(kPanel, nk - first);
    for (int64_t i = 0; i < count; ++i) {
      const float* const row = k + (first + i) * ld;
      for (int64_t j = 0; j < head; ++j) {
        panel[j * kPanel + i] = row[j];
      }
    }
    for (int64_t j = 0; j < head && count < kPanel; ++j) {
      std::fill(panel + j * kPanel + count, panel + (j + 1) * kPanel, 0.0F);
    }
  }
  for (int64_t i = 0; i < nk; ++i) {
    std::copy(v + i * ld, v + i * ld + head, values + i * head);
  }
}

void pack_weight(const float* weight, int64_t k, int64_t n, float* panels) {
  for (int64_t first = 0; first < n; first += kPanel) {
    const int64_t width = std::min(kPanel, n - first);
    for (int64_t j = 0; j < width; ++j) {
      const float* const row = weight + (first + j) * k;
      for (int64_t p = 0; p < k; ++p) {
        panels[p * width + j] = row[p];
      }
    }
    panels += width * k;
  }
}

}  // namespace slim::model::cpu
