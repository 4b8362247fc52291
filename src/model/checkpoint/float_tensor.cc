// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/float_tensor.h"

#include <bit>
#include <cstring>

#include "core/error.h"
#include "core/half.h"

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
      return convert<uint16_t>(bytes, [](uint16_t bits) { return float_from_half(bits); });
    case DType::BF16:
      return convert<uint16_t>(
          bytes, [](uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); });
    default:
      throw Error(message::kBug, "A tensor of type " + name_of(dtype) + " cannot be weights.");
  }
}

}  // namespace slim::model
