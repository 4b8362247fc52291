// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bids/bids_dataset.h"

namespace slim::bids {

/// A tab-separated table: every row has as many fields as there are columns.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> warnings;  // tolerated oddities, one sentence each

  /// Index of a column, or nullopt.
  std::optional<size_t> column(std::string_view name) const;
  /// A cell, or nullptr when the table has no such column.
  const std::string* cell(size_t row, std::string_view column_name) const;
};

struct TableOptions {
  /// No two rows may hold the same value here; a column that is absent is an error too. Empty = no such
  /// column.
  std::string_view unique_column{};
};

/// Takes a table apart (UTF-8, tabs, header line). A byte-order mark, CRLF line ends, trailing blanks and
/// trailing empty lines are accepted with a warning. Error SB2003 names `file` and the line: ragged rows,
/// duplicate columns, repeated values of the unique column, lone carriage returns, bytes that are not UTF-8.
Table parse_tsv(std::string_view text, std::string_view file, const TableOptions& options = {});

/// Reads a table from a file. Errors: SB2003 as above, SB2101 when it does not exist, SB2102 when it is an
/// annexed file whose content is not here, SB5002 when it cannot be read.
Table read_tsv(const std::filesystem::path& path, const TableOptions& options = {});

/// participants.tsv of the dataset (participant_id is unique); nullopt when there is none, which is normal.
std::optional<Table> read_participants(const BidsDataset& dataset);
/// sub-X_sessions.tsv of a participant (bare label; session_id is unique); nullopt when there is none.
std::optional<Table> read_sessions(const BidsDataset& dataset, std::string_view participant);

/// The cell is "n/a" or empty.
bool is_missing(std::string_view cell);
/// The number in a cell, whatever the locale; nullopt when it is missing or not wholly a number.
std::optional<double> to_number(std::string_view cell);

}  // namespace slim::bids
