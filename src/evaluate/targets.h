// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evaluate/table.h"

namespace slim::evaluate {

/// What a sidecar says of a column.
struct ColumnMeaning {
  std::vector<std::string> levels;  // keys of Levels in the file's order (or the entries of an array)
  std::string units, description;
};
/// The column's entry in the text of a JSON sidecar; all empty when there is none. Error SB2019 for broken
/// JSON.
ColumnMeaning column_meaning(std::string_view json_text, const std::string& column);

enum class TargetType { Auto, Class, Number };
/// auto, class or number; error SB1002 for another word.
TargetType target_type_from(const std::string& word);

struct TargetOptions {
  TargetType type = TargetType::Auto;
  std::vector<std::string> classes{};  // those of a model, in its order; others count as missing
};

struct TargetValue {
  std::string participant;  // sub-X
  std::string session;      // ses-Y, or empty
  double value = 0;         // a number, or the index of a class
  std::string text;         // as spelled
};

/// A column that can be predicted.
struct Target {
  std::string name;
  std::vector<std::string> classes{};  // empty = numbers
  std::string units{}, rule{};         // rule: why these are classes or numbers, one sentence
  std::vector<TargetValue> values{};   // in the table's order
  std::vector<std::string> missing{};  // participants (with /ses-Y) without a value, in the table's order
  std::vector<std::string> warnings{};

  /// The value of a session, else that of the participant; nullptr when there is none. Error SB2003 when only
  /// several sessions with different values could serve.
  const TargetValue* find(const std::string& participant, const std::string& session = {}) const;
};

/// More distinct numbers than this are no classes.
inline constexpr size_t kMostClasses = 10;

/// Takes a target from a table with participant_id (and maybe session_id). Type: as asked; else Levels ->
/// classes, Units -> number, all numeric with more than kMostClasses distinct values -> number, else classes.
/// Classes stand in the order of Levels, else sorted (numbers by size). "89+" counts as 89. Errors: SB1002 no
/// such column (the nearest is named), SB2003 a cell of a number that is none, or two values for one
/// participant and session.
Target read_target(const Table& table, const std::string& column, const ColumnMeaning& meaning,
                   const TargetOptions& options = {});

/// The number in a cell, "89+" read as 89; nothing when it is missing, no number, or not finite.
std::optional<double> number_in(std::string_view cell);

}  // namespace slim::evaluate
