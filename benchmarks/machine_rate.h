// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace slim::benchmarks {

inline double seconds_of(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// GFLOP/s of a float32 product of 2048 x 2048 matrices: median of 5 after one that warms up.
inline double product_rate() {
  const int64_t n = 2048;
  const at::Tensor a = at::randn({n, n}), b = at::randn({n, n});
  std::vector<double> seconds;
  for (int i = 0; i < 6; ++i) {
    seconds.push_back(seconds_of([&] { at::mm(a, b); }));
  }
  seconds.erase(seconds.begin());
  return 2.0 * static_cast<double>(n * n * n) / median(seconds) / 1e9;
}

/// Largest resident size of this process so far.
inline double peak_gb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e9;
}

}  // namespace slim::benchmarks
