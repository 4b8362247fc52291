// SPDX-License-Identifier: Apache-2.0
// The 64 taps of preproc/resample.h, apart because they are written for each instruction set (Note
// [Vectors]).
#include "core/error.h"
#include "preproc/resample.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace slim::preproc {
namespace {

struct TapJob {
  const float* coefficients;
  int64_t row, plane;
  const SplineTaps& taps;
  float lowest;
  float* out;
};

// Order of all variants: along y for each of four z and four x (product, then three products added), times
// the z weight, z added in order, times the x weight, (x0 + x1) + (x2 + x3).
int64_t interpolate_portable(const TapJob& job) {
  int64_t raised = 0;
  for (size_t p = 0; p < job.taps.points(); ++p) {
    const int32_t first = job.taps.first[p];
    if (first < 0) {
      job.out[p] = 0.0f;
      continue;
    }
    const float* w = job.taps.weights.data() + 12 * p;
    float sum[4];
    for (int z = 0; z < 4; ++z) {
      const float* at = job.coefficients + first + z * job.plane;
      float along_y[4];
      for (int x = 0; x < 4; ++x) {
        along_y[x] = at[x] * w[4];
      }
      for (int y = 1; y < 4; ++y) {
        at += job.row;
        for (int x = 0; x < 4; ++x) {
          along_y[x] += at[x] * w[4 + y];
        }
      }
      for (int x = 0; x < 4; ++x) {
        const float part = along_y[x] * w[8 + z];
        sum[x] = z == 0 ? part : sum[x] + part;
      }
    }
    const float value = (sum[0] * w[0] + sum[1] * w[1]) + (sum[2] * w[2] + sum[3] * w[3]);
    raised += value < job.lowest ? 1 : 0;
    job.out[p] = value < job.lowest ? job.lowest : value;
  }
  return raised;
}

#if defined(__x86_64__)

SLIM_AVX2 SLIM_INLINE __m256 two_rows(const float* low, const float* high) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}

SLIM_AVX2 SLIM_INLINE float finish_x(__m128 sum, const float* w) {
  const __m128 product = _mm_mul_ps(sum, _mm_loadu_ps(w));
  const __m128 pairs = _mm_add_ps(product, _mm_movehdup_ps(product));
  return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehl_ps(pairs, pairs)));
}

SLIM_AVX2 int64_t interpolate_avx2(const TapJob& job) {
  int64_t raised = 0;
  for (size_t p = 0; p < job.taps.points(); ++p) {
    const int32_t first = job.taps.first[p];
    if (first < 0) {
      job.out[p] = 0.0f;
      continue;
    }
    const float* w = job.taps.weights.data() + 12 * p;
    __m128 sum = _mm_setzero_ps();
    for (int z = 0; z < 4; z += 2) {
      const float* low = job.coefficients + first + z * job.plane;
      const float* high = low + job.plane;
      __m256 along_y = _mm256_mul_ps(two_rows(low, high), _mm256_broadcast_ss(w + 4));
      for (int y = 1; y < 4; ++y) {
        const __m256 rows = two_rows(low + y * job.row, high + y * job.row);
        along_y = _mm256_add_ps(along_y, _mm256_mul_ps(rows, _mm256_broadcast_ss(w + 4 + y)));
      }
      const __m256 weights =
          _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_set1_ps(w[8 + z])), _mm_set1_ps(w[9 + z]), 1);
      const __m256 parts = _mm256_mul_ps(along_y, weights);
      const __m128 lower = _mm256_castps256_ps128(parts);
      sum = _mm_add_ps(z == 0 ? lower : _mm_add_ps(sum, lower), _mm256_extractf128_ps(parts, 1));
    }
    const float value = finish_x(sum, w);
    raised += value < job.lowest ? 1 : 0;
    job.out[p] = value < job.lowest ? job.lowest : value;
  }
  return raised;
}

SLIM_AVX512 SLIM_INLINE __m512 four_rows(const float* at, int64_t plane) {
  const __m256 low =
      _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)), _mm_loadu_ps(at + plane), 1);
  const __m256 high = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at + 2 * plane)),
                                           _mm_loadu_ps(at + 3 * plane), 1);
  return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

// The masked form: the plain one warns of an uninitialised value in GCC 12's own header.
template <int kPart>
SLIM_AVX512 SLIM_INLINE __m128 quarter(__m512 values) {
  return _mm512_maskz_extractf32x4_ps(0xf, values, kPart);
}

SLIM_AVX512 int64_t interpolate_avx512(const TapJob& job) {
  const __m512i lane_of_z = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  int64_t raised = 0;
  for (size_t p = 0; p < job.taps.points(); ++p) {
    const int32_t first = job.taps.first[p];
    if (first < 0) {
      job.out[p] = 0.0f;
      continue;
    }
    const float* w = job.taps.weights.data() + 12 * p;
    const float* at = job.coefficients + first;
    __m512 along_y = _mm512_mul_ps(four_rows(at, job.plane), _mm512_set1_ps(w[4]));
    for (int y = 1; y < 4; ++y) {
      at += job.row;
      along_y = _mm512_add_ps(along_y, _mm512_mul_ps(four_rows(at, job.plane), _mm512_set1_ps(w[4 + y])));
    }
    const __m512 weights =
        _mm512_maskz_permutexvar_ps(0xffff, lane_of_z, _mm512_castps128_ps512(_mm_loadu_ps(w + 8)));
    const __m512 parts = _mm512_mul_ps(along_y, weights);
    __m128 sum = _mm_add_ps(quarter<0>(parts), quarter<1>(parts));
    sum = _mm_add_ps(sum, quarter<2>(parts));
    sum = _mm_add_ps(sum, quarter<3>(parts));
    const __m128 product = _mm_mul_ps(sum, _mm_loadu_ps(w));
    const __m128 pairs = _mm_add_ps(product, _mm_movehdup_ps(product));
    const float value = _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehl_ps(pairs, pairs)));
    raised += value < job.lowest ? 1 : 0;
    job.out[p] = value < job.lowest ? job.lowest : value;
  }
  return raised;
}

#else
int64_t interpolate_avx2(const TapJob& job) { return interpolate_portable(job); }
int64_t interpolate_avx512(const TapJob& job) { return interpolate_portable(job); }
#endif

}  // namespace

int64_t interpolate(const SplineCoefficients& coefficients, const SplineTaps& taps, float lowest,
                    std::span<float> out, Vectors vectors) {
  if (coefficients.size != taps.size || out.size() != taps.points()) {
    throw Error(message::kBug, "Spline coefficients and taps differ in size.");
  }
  const int64_t row = taps.size[0] + 3;
  const TapJob job{.coefficients = coefficients.values.data(),
                   .row = row,
                   .plane = row * (taps.size[1] + 3),
                   .taps = taps,
                   .lowest = lowest,
                   .out = out.data()};
  switch (vectors) {
    case Vectors::kAvx512:
      return interpolate_avx512(job);
    case Vectors::kAvx2:
      return interpolate_avx2(job);
    case Vectors::kPortable:
      break;
  }
  return interpolate_portable(job);
}

}  // namespace slim::preproc
