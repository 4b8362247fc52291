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

void pack_panels(const float* rows, int64_t ld, int64_t n, int64_t head, float* panels) {
  for (int64_t first = 0; first < n; first += kPanel) {
    float* const panel = panels + first * head;
    const int64_t count = std::min(kPanel, n - first);
    for (int64_t i = 0; i < count; ++i) {
      const float* const row = rows + (first + i) * ld;
      for (int64_t j = 0; j < head; ++j) {
        panel[j * kPanel + i] = row[j];
      }
    }
    for (int64_t j = 0; j < head && count < kPanel; ++j) {
      std::fill(panel + j * kPanel + count, panel + (j + 1) * kPanel, 0.0F);
    }
  }
}

void pack_rows(const float* rows, int64_t ld, int64_t n, int64_t head, float* packed) {
  for (int64_t i = 0; i < n; ++i) {
    packed = std::copy(rows + i * ld, rows + i * ld + head, packed);
  }
}

void unpack_across(const float* across, int64_t n, int64_t head, float* rows, int64_t ld) {
  const int64_t width = panels_size(n, 1);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < head; ++j) {
      rows[i * ld + j] = across[j * width + i];
    }
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
