// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "model/ops/cpu_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace slim::model::cpu {
namespace {

struct Vec {
  __m256 low, high;
};
constexpr int kTileVecs = 1;

inline Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Vec v) {
  _mm256_storeu_ps(p, v.low);
  _mm256_storeu_ps(p + 8, v.high);
}
inline Vec splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Vec add(Vec a, Vec b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline Vec sub(Vec a, Vec b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline Vec mul(Vec a, Vec b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline Vec div(Vec a, Vec b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
inline Vec maximum(Vec a, Vec b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
inline __m256 round_even(__m256 a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec round_even(Vec a) { return {round_even(a.low), round_even(a.high)}; }
inline __m256 power_of_two(__m256 n) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline Vec power_of_two(Vec n) { return {power_of_two(n.low), power_of_two(n.high)}; }
inline Vec select_negative(Vec x, Vec negative, Vec other) {
  return {_mm256_blendv_ps(other.low, negative.low, x.low),
          _mm256_blendv_ps(other.high, negative.high, x.high)};
}
inline __m256 low(Vec v) { return v.low; }
inline __m256 high(Vec v) { return v.high; }

#include "model/ops/cpu_kernels.inc"

}  // namespace

extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels{.name = "avx2",
                           .gemm = gemm,
                           .layer_norm = layer_norm,
                           .maximum = maximum_of_rows,
                           .attend = attend,
                           .attend_back = attend_back};

}  // namespace slim::model::cpu
#pragma GCC pop_options
