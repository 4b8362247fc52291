// SPDX-License-Identifier: Apache-2.0
#include "bids/tsv.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "bids/text_file.h"
#include "core/error.h"

namespace slim::bids {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Line {
  std::string_view text;
  size_t number;  // from 1
};

std::string name_of(std::string_view file) { return std::filesystem::path(file).filename().string(); }

[[noreturn]] void refuse(std::string_view file, size_t line, const std::string& what) {
  throw Error(message::kBadTable, name_of(file) + " line " + std::to_string(line) + " " + what + ".",
              {.file = std::string(file)});
}

size_t count_lines(std::string_view text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t") == std::string_view::npos; }

/// Lines without their ends and without trailing blanks; notes what was tolerated.
std::vector<Line> split_lines(std::string_view text, std::string_view file,
                              std::vector<std::string>& warnings) {
  std::vector<Line> lines;
  size_t with_return = 0, with_blanks = 0, number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
      ++with_return;
    }
    if (line.find('\r') != std::string_view::npos)
      refuse(file, number, "has a carriage return inside; lines end with LF");
    if (line.find('\0') != std::string_view::npos || !is_utf8(line))
      refuse(file, number, "is not UTF-8 text");
    const size_t used = line.find_last_not_of(' ') + 1;
    if (used < line.size()) ++with_blanks;
    lines.push_back({line.substr(0, used), number});
  }
  const std::string name = name_of(file);
  if (with_return > 0) warnings.push_back(name + " has CRLF line ends.");
  if (with_blanks > 0)
    warnings.push_back(name + " has trailing blanks in " + std::to_string(with_blanks) + " lines.");
  const size_t before = lines.size();
  while (!lines.empty() && is_blank(lines.back().text)) lines.pop_back();
  if (lines.size() < before) warnings.push_back(name + " ends with an empty line.");
  return lines;
}

std::vector<std::string> split_fields(std::string_view line) {
  std::vector<std::string> fields;
  fields.reserve(static_cast<size_t>(std::count(line.begin(), line.end(), '\t')) + 1);
  for (;;) {
    const size_t end = line.find('\t');
    fields.emplace_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

/// Drops empty fields beyond `width`, which trailing tabs make; whether there were any.
bool drop_trailing_fields(std::vector<std::string>& fields, size_t width) {
  const size_t before = fields.size();
  while (fields.size() > width && is_blank(fields.back())) fields.pop_back();
  return fields.size() < before;
}

void check_columns(const Table& table, std::string_view file, size_t line) {
  std::unordered_set<std::string_view> seen;
  for (const std::string& name : table.columns) {
    if (!seen.insert(name).second) refuse(file, line, "has the column \"" + name + "\" twice");
  }
}

void check_unique(const Table& table, std::string_view file, std::string_view name,
                  const std::vector<Line>& lines) {
  const std::optional<size_t> column = table.column(name);
  if (!column) refuse(file, lines.front().number, "has no column " + std::string(name));
  std::unordered_map<std::string_view, size_t> first;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const std::string& value = table.rows[i][*column];
    const auto [earlier, is_new] = first.emplace(value, lines[i + 1].number);
    if (!is_new) {
      refuse(file, lines[i + 1].number,
             "repeats " + std::string(name) + " " + value + " of line " + std::to_string(earlier->second));
    }
  }
}

std::optional<Table> read_if_there(const BidsDataset& dataset, const std::string& relative,
                                   const TableOptions& options) {
  const std::filesystem::path path = dataset.root() / relative;
  std::error_code ignored;
  // A dangling annex link exists for us: it is a table whose content is missing.
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return std::nullopt;
  return read_tsv(path, options);
}

}  // namespace

std::optional<size_t> Table::column(std::string_view name) const {
  const auto place = std::find(columns.begin(), columns.end(), name);
  if (place == columns.end()) return std::nullopt;
  return static_cast<size_t>(place - columns.begin());
}

const std::string* Table::cell(size_t row, std::string_view column_name) const {
  const std::optional<size_t> place = column(column_name);
  return place && row < rows.size() ? &rows[row][*place] : nullptr;
}

Table parse_tsv(std::string_view text, std::string_view file, const TableOptions& options) {
  Table table;
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    refuse(file, 1, "is UTF-16; tables are UTF-8");
  if (text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
    table.warnings.push_back(name_of(file) + " starts with a byte-order mark.");
  }
  if (text.find('\n') == std::string_view::npos && text.find('\r') != std::string_view::npos) {
    refuse(file, 1, "ends with a carriage return alone; lines end with LF");
  }
  const std::vector<Line> lines = split_lines(text, file, table.warnings);
  if (lines.empty())
    refuse(file, count_lines(text), "is the end of an empty table; a header line is expected");
  table.columns = split_fields(lines.front().text);
  bool dropped = drop_trailing_fields(table.columns, 1);
  const size_t width = table.columns.size();
  check_columns(table, file, lines.front().number);
  table.rows.reserve(lines.size() - 1);
  for (size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> fields = split_fields(lines[i].text);
    dropped = drop_trailing_fields(fields, width) || dropped;
    if (fields.size() != width) {
      refuse(file, lines[i].number,
             "has " + std::to_string(fields.size()) + " fields, the header has " + std::to_string(width));
    }
    table.rows.push_back(std::move(fields));
  }
  if (dropped) table.warnings.push_back(name_of(file) + " has trailing tabs.");
  if (!options.unique_column.empty()) check_unique(table, file, options.unique_column, lines);
  return table;
}

Table read_tsv(const std::filesystem::path& path, const TableOptions& options) {
  return parse_tsv(read_dataset_text(path), path.string(), options);
}

std::optional<Table> read_participants(const BidsDataset& dataset) {
  return read_if_there(dataset, "participants.tsv", {.unique_column = "participant_id"});
}

std::optional<Table> read_sessions(const BidsDataset& dataset, std::string_view participant) {
  const std::string folder = "sub-" + std::string(participant);
  return read_if_there(dataset, folder + "/" + folder + "_sessions.tsv", {.unique_column = "session_id"});
}

bool is_missing(std::string_view cell) { return cell.empty() || cell == "n/a"; }

std::optional<double> to_number(std::string_view cell) {
  if (is_missing(cell)) return std::nullopt;
  if (cell.size() > 1 && cell[0] == '+' && cell[1] != '-') cell.remove_prefix(1);  // from_chars refuses it
  double value = 0;
  const auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (code != std::errc() || end != cell.data() + cell.size()) return std::nullopt;
  return value;
}

}  // namespace slim::bids
