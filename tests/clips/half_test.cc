// SPDX-License-Identifier: Apache-2.0
#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace slim {
namespace {

double exact_value(uint16_t half) {
  const int exponent = (half >> 10) & 31, mantissa = half & 0x3ff;
  const double size = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (half & 0x8000) != 0 ? -size : size;
}

TEST(Half, ReadsAllPatternsExactlyAndWritesThemBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = float_from_half(half);
    if ((half & 0x7c00) != 0x7c00) {
      ASSERT_EQ(static_cast<double>(value), exact_value(half));
    } else if ((half & 0x3ff) == 0) {
      ASSERT_TRUE(std::isinf(value));
    } else {
      ASSERT_TRUE(std::isnan(value));
      ASSERT_EQ(half_from_float(value) & 0x7e00, 0x7e00);
      continue;
    }
    ASSERT_EQ(half_from_float(value), half);
  }
}

TEST(Half, RoundsToNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    const double middle = 0.5 * (exact_value(low) + exact_value(high));
    const auto tie = static_cast<float>(middle);
    ASSERT_EQ(static_cast<double>(tie), middle);
    ASSERT_EQ(half_from_float(tie), (low & 1) == 0 ? low : high);
    ASSERT_EQ(half_from_float(std::nextafter(tie, 0.0f)), low);
    ASSERT_EQ(half_from_float(std::nextafter(tie, 1e30f)), high);
    ASSERT_EQ(half_from_float(-tie), half_from_float(tie) | 0x8000);
  }
  EXPECT_EQ(half_from_float(65519.99f), 0x7bff);
  EXPECT_EQ(half_from_float(65520.0f), 0x7c00);
  EXPECT_EQ(half_from_float(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Half, ConvertsRowsAsItConvertsSingleValues) {
  std::vector<float> values;
  for (uint32_t i = 0; i < 100003; ++i) {  // no whole number of vectors
    values.push_back(std::bit_cast<float>(i * 42943u));
  }
  std::vector<uint16_t> halves(values.size());
  halves_from_floats(values, halves);
  std::vector<float> back(values.size());
  floats_from_halves(halves, back);
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(halves[i], half_from_float(values[i])) << values[i];
    ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(float_from_half(halves[i])));
  }
}

}  // namespace
}  // namespace slim
