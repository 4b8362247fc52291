// SPDX-License-Identifier: Apache-2.0
#include "preproc/voxel_statistics.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "preproc/vectors.h"

namespace slim::preproc {
namespace {

constexpr int64_t kBlock = 1024;

struct Sums {
  std::array<double, kBlock> deviation{}, square{}, step{};
  std::array<float, kBlock> smallest{};  // abs
};

/// Adds one frame's values x of a block; `origin` holds the block's first frame, `before` the previous one.
SLIM_INLINE void add_body(Sums& sums, const float* x, const float* origin, const float* before,
                          int64_t width) {
  for (int64_t j = 0; j < width; ++j) {
    const auto at = static_cast<size_t>(j);
    const double value = static_cast<double>(x[j]);
    const double d = value - static_cast<double>(origin[j]);
    const double step = value - static_cast<double>(before[j]);
    sums.deviation[at] += d;
    sums.square[at] += d * d;
    sums.step[at] += step * step;
    const float size = std::abs(x[j]);
    sums.smallest[at] = size < sums.smallest[at] ? size : sums.smallest[at];
  }
}

void add_portable(Sums& sums, const float* x, const float* origin, const float* before, int64_t width) {
  add_body(sums, x, origin, before, width);
}
SLIM_AVX2 void add_avx2(Sums& sums, const float* x, const float* origin, const float* before, int64_t width) {
  add_body(sums, x, origin, before, width);
}
SLIM_AVX512 void add_avx512(Sums& sums, const float* x, const float* origin, const float* before,
                            int64_t width) {
  add_body(sums, x, origin, before, width);
}

}  // namespace

VoxelStatistics voxel_statistics(const PackedBold& bold) {
  const auto count = static_cast<size_t>(bold.frame_values);
  VoxelStatistics out{.mean = std::vector<double>(count),
                      .sd = std::vector<double>(count),
                      .high_frequency = std::vector<double>(count),
                      .finite = std::vector<uint8_t>(count),
                      .varies = std::vector<uint8_t>(count),
                      .never_zero = std::vector<uint8_t>(count)};
  const auto add = best_vectors() == Vectors::kAvx512 ? add_avx512
                   : best_vectors() == Vectors::kAvx2 ? add_avx2
                                                      : add_portable;
  const auto frames = static_cast<double>(bold.frames);
  tbb::parallel_for(int64_t{0}, (bold.frame_values + kBlock - 1) / kBlock, [&](int64_t block) {
    const int64_t first = block * kBlock, width = std::min(kBlock, bold.frame_values - first);
    Sums sums;
    const float* origin = bold.frame(0).data() + first;
    for (int64_t j = 0; j < width; ++j) {
      sums.smallest[static_cast<size_t>(j)] = std::abs(origin[j]);
    }
    for (int64_t t = 0; t < bold.frames; ++t) {
      const float* x = bold.frame(t).data() + first;
      add(sums, x, origin, t == 0 ? x : x - bold.frame_values, width);
    }
    for (int64_t j = 0; j < width; ++j) {
      const auto at = static_cast<size_t>(j), v = static_cast<size_t>(first + j);
      const double shift = sums.deviation[at] / frames;
      const double variance = std::max(0.0, sums.square[at] / frames - shift * shift);
      out.mean[v] = static_cast<double>(origin[j]) + shift;
      out.sd[v] = std::sqrt(variance);
      out.high_frequency[v] = variance > 0.0 ? sums.step[at] / (2.0 * frames * variance) : 0.0;
      out.finite[v] = std::isfinite(sums.square[at]) && std::isfinite(static_cast<double>(origin[j])) ? 1 : 0;
      out.varies[v] = sums.square[at] != 0.0 ? 1 : 0;
      out.never_zero[v] = sums.smallest[at] > 0.0f ? 1 : 0;
    }
  });
  return out;
}

}  // namespace slim::preproc
