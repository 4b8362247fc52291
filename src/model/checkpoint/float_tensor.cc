// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/float_tensor.h"

#include <bit>
#include <cstring>

#include "core/error.h"

namespace slim::model {
namespace {

template <class Stored, class Convert>
std::vector<float> convert(std::span<const std::byte> bytes, Convert&& to_float) {
  std::vector<float> values(bytes.size() / sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = to_float(stored);
  }
  return values;
}

}  // namespace

float float_from_half(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 31u;
  const uint32_t fraction = bits & 0x3FFu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

bool is_floating(DType dtype) {
  return dtype == DType::F16 || dtype == DType::BF16 || dtype == DType::F32 || dtype == DType::F64;
}

std::vector<float> to_float32(std::span<const std::byte> bytes, DType dtype) {
  switch (dtype) {
    case DType::F32:
      return convert<float>(bytes, [](float value) { return value; });
    case DType::F64:
      return convert<double>(bytes, [](double value) { return static_cast<float>(value); });
    case DType::F16:
      return convert<uint16_t>(bytes, float_from_half);
    case DType::BF16:
      return convert<uint16_t>(
          bytes, [](uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); });
    default:
      throw Error(message::kBug, "A tensor of type " + name_of(dtype) + " cannot be weights.");
  }
}

}  // namespace slim::model
