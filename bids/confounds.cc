// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "bids/bold_run.h"
#include "bids/tsv.h"

namespace slim::bids {

DummyVolumes count_dummy_volumes(const std::filesystem::path& confounds) {
  const Table table = read_tsv(confounds);
  std::vector<size_t> columns;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].starts_with("non_steady_state_outlier")) {
      columns.push_back(i);
    }
  }
  DummyVolumes result{.count = 0, .rows = static_cast<int64_t>(table.rows.size())};
  for (const std::vector<std::string>& row : table.rows) {
    const bool marked = std::any_of(columns.begin(), columns.end(), [&](size_t column) {
      const std::optional<double> value = to_number(row[column]);
      return value && *value != 0.0;
    });
    if (!marked) {
      break;
    }
    ++result.count;
  }
  return result;
}

}  // namespace slim::bids
