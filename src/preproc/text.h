// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <string>

namespace slim::preproc {

/// A number with so many digits after the point, whatever the locale.
inline std::string short_number(double value, int digits) {
  std::array<char, 400> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, digits);
  return {text.data(), end.ptr};
}

/// The shortest text that reads back as the same number.
inline std::string exact_number(double value) {
  std::array<char, 64> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// A share as "12.4 %".
inline std::string percent(double share) { return short_number(100.0 * share, 1) + " %"; }

}  // namespace slim::preproc
