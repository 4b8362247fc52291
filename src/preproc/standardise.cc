// SPDX-License-Identifier: Apache-2.0
#include "preproc/standardise.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>

#include "core/error.h"
#include "core/half.h"

namespace slim::preproc {
namespace {

constexpr int64_t kSumBlock = 64 * kTokenVoxels;  // values summed in lanes
constexpr int64_t kLanes = 16;
constexpr int64_t kChunk = 1024;  // values converted together
constexpr float kLargestHalf = 65504.0f;

// Eight lanes; GCC lowers them to what the function's instruction set has.
typedef float Floats __attribute__((vector_size(32)));
typedef int32_t Masks __attribute__((vector_size(32)));
typedef double Doubles __attribute__((vector_size(64)));

/// Sum over a frame of x, or of (x - mean)^2, invalid values counting 0 (Note [Fixed sums]).
template <bool kSquares>
SLIM_INLINE double sum_body(const float* x, const int32_t* keep, int64_t count, double mean) {
  double total = 0.0;
  const Masks one = {0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
                     0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000};
  for (int64_t block = 0; block < count; block += kSumBlock) {
    const int64_t end = std::min(count, block + kSumBlock);
    Doubles lanes[2] = {};
    for (int64_t i = block; i < end; i += kLanes) {
      for (int64_t half = 0; half < 2; ++half) {
        Masks bits, kept;
        std::memcpy(&bits, x + i + 8 * half, sizeof(bits));
        std::memcpy(&kept, keep + i + 8 * half, sizeof(kept));
        Doubles value = __builtin_convertvector(reinterpret_cast<Floats>(bits & kept), Doubles);
        if constexpr (kSquares) {
          value = (value - mean) * __builtin_convertvector(reinterpret_cast<Floats>(one & kept), Doubles);
          value = value * value;
        }
        lanes[half] += value;
      }
    }
    std::array<double, kLanes> tree;
    std::memcpy(tree.data(), lanes, sizeof(lanes));
    for (size_t width = kLanes / 2; width > 0; width /= 2) {
      for (size_t lane = 0; lane < width; ++lane) {
        tree[lane] += tree[lane + width];
      }
    }
    total += tree[0];
  }
  return total;
}

template <bool kSquares>
double sum_portable(const float* x, const int32_t* keep, int64_t count, double mean) {
  return sum_body<kSquares>(x, keep, count, mean);
}
template <bool kSquares>
SLIM_AVX2 double sum_avx2(const float* x, const int32_t* keep, int64_t count, double mean) {
  return sum_body<kSquares>(x, keep, count, mean);
}
template <bool kSquares>
SLIM_AVX512 double sum_avx512(const float* x, const int32_t* keep, int64_t count, double mean) {
  return sum_body<kSquares>(x, keep, count, mean);
}

std::vector<int32_t> keep_masks(const std::vector<uint8_t>& valid) {
  std::vector<int32_t> keep;
  keep.reserve(valid.size());
  for (const uint8_t flag : valid) {
    keep.push_back(flag != 0 ? -1 : 0);
  }
  return keep;
}

template <bool kSquares>
double sum_of_frames(const PackedBold& bold, const std::vector<int32_t>& keep, double mean, Vectors vectors) {
  const auto sum = vectors == Vectors::kAvx512 ? sum_avx512<kSquares>
                   : vectors == Vectors::kAvx2 ? sum_avx2<kSquares>
                                               : sum_portable<kSquares>;
  std::vector<double> of_frame(static_cast<size_t>(bold.frames));
  tbb::parallel_for(int64_t{0}, bold.frames, [&](int64_t t) {
    of_frame[static_cast<size_t>(t)] = sum(bold.frame(t).data(), keep.data(), bold.frame_values, mean);
  });
  double total = 0.0;
  for (const double part : of_frame) {
    total += part;
  }
  return total;
}

/// What is subtracted and multiplied: one pair for the run, or one a voxel.
struct Scaling {
  std::vector<float> mean, scale;  // [1] or [frame_values]
};

/// Per-voxel mean and 1/SD over time; a voxel that does not vary gets scale 0.
Scaling voxel_scaling(const PackedBold& bold) {
  Scaling scaling{.mean = std::vector<float>(static_cast<size_t>(bold.frame_values)),
                  .scale = std::vector<float>(static_cast<size_t>(bold.frame_values))};
  const int64_t blocks = (bold.frame_values + kChunk - 1) / kChunk;
  tbb::parallel_for(int64_t{0}, blocks, [&](int64_t block) {
    const int64_t first = block * kChunk, width = std::min(kChunk, bold.frame_values - first);
    std::array<double, kChunk> mean{}, square{};
    for (int64_t t = 0; t < bold.frames; ++t) {
      const float* x = bold.frame(t).data() + first;
      for (int64_t j = 0; j < width; ++j) {
        mean[static_cast<size_t>(j)] += static_cast<double>(x[j]);
      }
    }
    const auto frames = static_cast<double>(bold.frames);
    for (double& value : mean) {
      value /= frames;
    }
    for (int64_t t = 0; t < bold.frames; ++t) {
      const float* x = bold.frame(t).data() + first;
      for (int64_t j = 0; j < width; ++j) {
        const double d = static_cast<double>(x[j]) - mean[static_cast<size_t>(j)];
        square[static_cast<size_t>(j)] += d * d;
      }
    }
    for (int64_t j = 0; j < width; ++j) {
      const auto at = static_cast<size_t>(j), voxel = static_cast<size_t>(first + j);
      const double sd = std::sqrt(square[at] / frames);
      scaling.mean[voxel] = static_cast<float>(mean[at]);
      scaling.scale[voxel] = sd > 0.0 ? static_cast<float>(1.0 / sd) : 0.0f;
    }
  });
  return scaling;
}

struct Converted {
  int64_t saturated = 0, not_a_number = 0;
};

/// z = (x - mean) * scale of up to kChunk values, 0 where not kept, cut to the range of binary16.
template <bool kPerVoxel>
SLIM_INLINE Converted zscore_body(const float* x, const int32_t* keep, const float* mean, const float* scale,
                                  float* z, int64_t width) {
  int32_t saturated = 0, not_a_number = 0;
  for (int64_t j = 0; j < width; ++j) {
    const float score = (x[j] - mean[kPerVoxel ? j : 0]) * scale[kPerVoxel ? j : 0];
    const float value = keep[j] != 0 ? score : 0.0f;
    const float low = value < -kLargestHalf ? -kLargestHalf : value;
    const float cut = low > kLargestHalf ? kLargestHalf : low;
    saturated += cut != value ? 1 : 0;  // counts NaN too
    not_a_number += value != value ? 1 : 0;
    z[j] = cut;
  }
  return {.saturated = saturated - not_a_number, .not_a_number = not_a_number};
}

template <bool kPerVoxel>
Converted zscore_portable(const float* x, const int32_t* keep, const float* mean, const float* scale,
                          float* z, int64_t width) {
  return zscore_body<kPerVoxel>(x, keep, mean, scale, z, width);
}
template <bool kPerVoxel>
SLIM_AVX2 Converted zscore_avx2(const float* x, const int32_t* keep, const float* mean, const float* scale,
                                float* z, int64_t width) {
  return zscore_body<kPerVoxel>(x, keep, mean, scale, z, width);
}
template <bool kPerVoxel>
SLIM_AVX512 Converted zscore_avx512(const float* x, const int32_t* keep, const float* mean,
                                    const float* scale, float* z, int64_t width) {
  return zscore_body<kPerVoxel>(x, keep, mean, scale, z, width);
}

/// One frame from floats to z-scores in binary16. The target may be the frame's own memory or lie before it.
template <bool kPerVoxel>
Converted convert_frame(const float* x, uint16_t* to, const std::vector<int32_t>& keep,
                        const Scaling& scaling, Vectors vectors) {
  const auto zscore = vectors == Vectors::kAvx512 ? zscore_avx512<kPerVoxel>
                      : vectors == Vectors::kAvx2 ? zscore_avx2<kPerVoxel>
                                                  : zscore_portable<kPerVoxel>;
  Converted seen;
  std::array<float, kChunk> z;
  const auto count = static_cast<int64_t>(keep.size());
  for (int64_t first = 0; first < count; first += kChunk) {
    const int64_t width = std::min(kChunk, count - first), voxel = kPerVoxel ? first : 0;
    const Converted part = zscore(x + first, keep.data() + first, scaling.mean.data() + voxel,
                                  scaling.scale.data() + voxel, z.data(), width);
    seen.saturated += part.saturated;
    seen.not_a_number += part.not_a_number;
    halves_from_floats(std::span<const float>(z.data(), static_cast<size_t>(width)),
                       std::span<uint16_t>(to + first, static_cast<size_t>(width)));
  }
  return seen;
}

/// Frame t goes from bytes [4Nt, 4N(t+1)) to [2Nt, 2N(t+1)). Frames [s, 2s) write where [s/2, s) were read,
/// so phases of doubling length may each run in parallel.
Converted convert_in_place(PackedBold& bold, const Scaling& scaling, Vectors vectors) {
  const float* from = bold.values.floats().data();
  uint16_t* to = bold.values.halves().data();
  const std::vector<int32_t> keep = keep_masks(bold.valid);
  const auto convert = scaling.mean.size() > 1 ? convert_frame<true> : convert_frame<false>;
  std::atomic<int64_t> saturated{0}, not_a_number{0};
  for (int64_t begin = 0, end = 1; begin < bold.frames; begin = end, end = std::min(2 * end, bold.frames)) {
    tbb::parallel_for(begin, end, [&](int64_t t) {
      const Converted seen =
          convert(from + t * bold.frame_values, to + t * bold.frame_values, keep, scaling, vectors);
      saturated += seen.saturated;
      not_a_number += seen.not_a_number;
    });
  }
  return {.saturated = saturated, .not_a_number = not_a_number};
}

}  // namespace

RunStatistics run_statistics(const PackedBold& bold, Vectors vectors) {
  RunStatistics run;
  run.n_valid = std::count_if(bold.valid.begin(), bold.valid.end(), [](uint8_t flag) { return flag != 0; });
  if (run.n_valid == 0 || bold.frames == 0) {
    throw Error(message::kBug, "A run without valid voxels reached the statistics.");
  }
  const std::vector<int32_t> keep = keep_masks(bold.valid);
  const double values = static_cast<double>(run.n_valid) * static_cast<double>(bold.frames);
  run.mean = sum_of_frames<false>(bold, keep, 0.0, vectors) / values;
  run.sd = std::sqrt(sum_of_frames<true>(bold, keep, run.mean, vectors) / values);
  return run;
}

std::vector<uint8_t> StandardisedBold::valid_bits() const {
  std::vector<uint8_t> bits((valid.size() + 7) / 8, 0);
  for (size_t v = 0; v < valid.size(); ++v) {
    bits[v / 8] = static_cast<uint8_t>(bits[v / 8] | ((valid[v] != 0 ? 1u : 0u) << (v % 8)));
  }
  return bits;
}

StandardisedBold standardise(PackedBold bold, const StandardiseOptions& options, Vectors vectors) {
  if (options.zscore != "run" && options.zscore != "voxel") {
    throw Error(message::kBadValue, "zscore " + options.zscore + " is not valid: use run or voxel.");
  }
  StandardisedBold out;
  Scaling scaling;
  if (options.zscore == "run") {
    out.run = run_statistics(bold, vectors);
    if (!(out.run->sd > 0.0)) {
      throw Error(message::kBug, "A run without variation reached the standardisation.");
    }
    scaling = {.mean = {static_cast<float>(out.run->mean)}, .scale = {static_cast<float>(1.0 / out.run->sd)}};
  } else {
    scaling = voxel_scaling(bold);
  }
  const Converted seen = convert_in_place(bold, scaling, vectors);
  if (seen.not_a_number > 0) {
    throw Error(message::kBug, "Standardisation made values that are not numbers.",
                {.found = std::to_string(seen.not_a_number)});
  }
  out.saturated = seen.saturated;
  out.frames = bold.frames;
  out.frame_values = bold.frame_values;
  out.repetition_time_s = bold.repetition_time_s;
  out.first_frame_s = bold.first_frame_s;
  out.valid = std::move(bold.valid);
  out.values = std::move(bold.values);
  out.values.shrink(static_cast<size_t>(out.frames * out.frame_values) * sizeof(uint16_t));
  return out;
}

}  // namespace slim::preproc
