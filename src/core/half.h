// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace slim {

/// IEEE binary16 bits of a float, rounded to nearest, ties to even; overflow gives infinity, NaN stays NaN.
constexpr uint16_t half_from_float(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x477ff000u) {  // 65520 and more round to infinity
    return static_cast<uint16_t>(sign | 0x7c00u);
  }
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 aligns the mantissa and rounds in hardware
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

/// The float that binary16 bits stand for; exact.
constexpr float float_from_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    const uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13) | quiet);
  }
  if (magnitude < 0x400u) {
    const float scaled = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
}

namespace detail {

#if defined(__x86_64__)
inline bool has_f16c() { return __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c"); }

// Source and target may overlap when the target starts at or before the source: each group is read before it
// is written.
__attribute__((target("avx,f16c"))) inline size_t halves_from_floats_f16c(const float* from, uint16_t* to,
                                                                          size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), halves);
  }
  return i;
}

__attribute__((target("avx,f16c"))) inline size_t floats_from_halves_f16c(const uint16_t* from, float* to,
                                                                          size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
  return i;
}
#else
inline bool has_f16c() { return false; }
inline size_t halves_from_floats_f16c(const float*, uint16_t*, size_t) { return 0; }
inline size_t floats_from_halves_f16c(const uint16_t*, float*, size_t) { return 0; }
#endif

}  // namespace detail

/// Converts floats to binary16 bits, to nearest even; the same bits with and without F16C. Sizes are equal.
inline void halves_from_floats(std::span<const float> from, std::span<uint16_t> to) {
  size_t i = detail::has_f16c() ? detail::halves_from_floats_f16c(from.data(), to.data(), from.size()) : 0;
  for (; i < from.size(); ++i) {
    to[i] = half_from_float(from[i]);
  }
}

/// Converts binary16 bits to floats; exact. Sizes are equal.
inline void floats_from_halves(std::span<const uint16_t> from, std::span<float> to) {
  size_t i = detail::has_f16c() ? detail::floats_from_halves_f16c(from.data(), to.data(), from.size()) : 0;
  for (; i < from.size(); ++i) {
    to[i] = float_from_half(from[i]);
  }
}

}  // namespace slim
