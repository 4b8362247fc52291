// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "model/ops/cpu_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx2,fma")

namespace slim::model::cpu {
namespace {

using Vec = __m512;
constexpr int kTileVecs = 4;

inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec maximum(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec round_even(Vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec power_of_two(Vec n) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}
inline Vec select_negative(Vec x, Vec negative, Vec other) {
  return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), other, negative);
}
inline __m256 low(Vec v) { return _mm512_castps512_ps256(v); }
inline __m256 high(Vec v) { return _mm512_extractf32x8_ps(v, 1); }

#include "model/ops/cpu_kernels.inc"

}  // namespace

extern const Kernels kAvx512Kernels;
const Kernels kAvx512Kernels{.name = "avx512",
                             .gemm = gemm,
                             .layer_norm = layer_norm,
                             .maximum = maximum_of_rows,
                             .attend = attend,
                             .attend_back = attend_back};

}  // namespace slim::model::cpu
#pragma GCC pop_options
