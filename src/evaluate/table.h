// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slim::evaluate {

/// A table as text: a cell a column in every row, "n/a" where a value is missing.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  std::optional<size_t> column(std::string_view name) const {
    for (size_t c = 0; c < columns.size(); ++c) {
      if (columns[c] == name) {
        return c;
      }
    }
    return std::nullopt;
  }
};

}  // namespace slim::evaluate
