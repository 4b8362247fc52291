// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "core/safetensors.h"

namespace slim::model {

/// An element type by its names in torch: torch.float32, torch.FloatStorage.
struct TypeRow {
  std::string_view torch_name;
  std::string_view storage;  // empty: only by name of type
  DType dtype;
};
inline constexpr std::array kTypes{TypeRow{"float32", "FloatStorage", DType::F32},
                                   TypeRow{"float64", "DoubleStorage", DType::F64},
                                   TypeRow{"float16", "HalfStorage", DType::F16},
                                   TypeRow{"bfloat16", "BFloat16Storage", DType::BF16},
                                   TypeRow{"int64", "LongStorage", DType::I64},
                                   TypeRow{"int32", "IntStorage", DType::I32},
                                   TypeRow{"int16", "ShortStorage", DType::I16},
                                   TypeRow{"int8", "CharStorage", DType::I8},
                                   TypeRow{"uint8", "ByteStorage", DType::U8},
                                   TypeRow{"bool", "BoolStorage", DType::Bool},
                                   TypeRow{"uint16", "", DType::U16},
                                   TypeRow{"uint32", "", DType::U32},
                                   TypeRow{"uint64", "", DType::U64}};

/// "torch.FloatStorage" or "torch.cuda.FloatStorage" -> "FloatStorage".
inline std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

/// nullptr for types that no weight has (complex, quantised).
inline const TypeRow* type_of_storage(std::string_view storage) {
  const auto* row = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeRow& candidate) {
    return !candidate.storage.empty() && candidate.storage == last_part(storage);
  });
  return row == kTypes.end() ? nullptr : row;
}

inline const TypeRow* type_of_name(std::string_view name) {
  const auto* row = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeRow& candidate) {
    return candidate.torch_name == last_part(name);
  });
  return row == kTypes.end() ? nullptr : row;
}

}  // namespace slim::model
