// SPDX-License-Identifier: Apache-2.0
#include "evaluate/targets.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/json_file.h"
#include "core/nearest.h"

namespace slim::evaluate {
namespace {

bool is_missing(const std::string& cell) { return cell.empty() || cell == "n/a"; }

std::string label(const TargetValue& value) {
  return value.session.empty() ? value.participant : value.participant + "/" + value.session;
}

/// Distinct texts; by size when all are numbers, else by bytes.
std::vector<std::string> sorted_classes(const std::vector<TargetValue>& values) {
  std::set<std::string> distinct;
  for (const TargetValue& value : values) {
    distinct.insert(value.text);
  }
  std::vector<std::string> classes(distinct.begin(), distinct.end());
  if (std::all_of(classes.begin(), classes.end(),
                  [](const std::string& text) { return number_in(text).has_value(); })) {
    std::stable_sort(classes.begin(), classes.end(), [](const std::string& a, const std::string& b) {
      return *number_in(a) < *number_in(b);
    });
  }
  return classes;
}

/// Whether the values are classes, and the sentence that says why.
bool are_classes(const std::vector<TargetValue>& values, const ColumnMeaning& meaning,
                 const TargetOptions& options, std::string& rule) {
  if (options.type != TargetType::Auto) {
    rule = "the type was asked for";
    return options.type == TargetType::Class;
  }
  if (!options.classes.empty() || !meaning.levels.empty()) {
    rule = options.classes.empty() ? "the sidecar gives Levels" : "the model has classes";
    return true;
  }
  if (!meaning.units.empty()) {
    rule = "the sidecar gives Units";
    return false;
  }
  std::set<double> distinct;
  for (const TargetValue& value : values) {
    const std::optional<double> number = number_in(value.text);
    if (!number) {
      rule = "not all values are numbers";
      return true;
    }
    distinct.insert(*number);
  }
  rule = std::to_string(distinct.size()) + " distinct numbers, the limit of classes is " +
         std::to_string(kMostClasses);
  return distinct.size() <= kMostClasses;
}

void read_numbers(Target& target) {
  for (TargetValue& value : target.values) {
    const std::optional<double> number = number_in(value.text);
    if (!number) {
      throw Error(message::kBadTable,
                  "\"" + value.text + "\" of " + label(value) + " in column " + target.name + " is no number",
                  {.remedy = "write n/a for a missing value, or --target-type class"});
    }
    value.value = *number;
  }
}

void read_classes(Target& target, const ColumnMeaning& meaning, const TargetOptions& options) {
  target.classes = options.classes.empty() ? meaning.levels : options.classes;
  std::set<std::string> strange;
  for (const std::string& name : sorted_classes(target.values)) {
    if (std::find(target.classes.begin(), target.classes.end(), name) == target.classes.end()) {
      strange.insert(name);
      if (options.classes.empty()) {
        target.classes.push_back(name);
      }
    }
  }
  std::vector<TargetValue> known;
  for (TargetValue& value : target.values) {
    const auto found = std::find(target.classes.begin(), target.classes.end(), value.text);
    if (found == target.classes.end()) {
      target.missing.push_back(label(value));
      continue;
    }
    value.value = static_cast<double>(found - target.classes.begin());
    known.push_back(std::move(value));
  }
  target.values = std::move(known);
  for (const std::string& name : strange) {
    if (!options.classes.empty()) {
      target.warnings.push_back("the model has no class \"" + name + "\"; those participants are left out");
    } else if (!meaning.levels.empty()) {
      target.warnings.push_back("value \"" + name + "\" of " + target.name + " is not among the Levels");
    }
  }
}

void drop_repeats(Target& target) {
  std::map<std::string, std::string> seen;
  std::vector<TargetValue> kept;
  for (TargetValue& value : target.values) {
    const auto [place, is_new] = seen.try_emplace(label(value), value.text);
    if (!is_new && place->second != value.text) {
      throw Error(message::kBadTable, label(value) + " has two values in column " + target.name,
                  {.found = place->second + " and " + value.text});
    }
    if (is_new) {
      kept.push_back(std::move(value));
    }
  }
  target.values = std::move(kept);
}

}  // namespace

std::optional<double> number_in(std::string_view cell) {
  if (cell.size() > 1 && cell.back() == '+') {
    cell.remove_suffix(1);
  }
  if (cell.size() > 1 && cell.front() == '+' && cell[1] != '-') {
    cell.remove_prefix(1);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  const bool whole = error == std::errc() && end == cell.data() + cell.size() && std::isfinite(value);
  return whole ? std::optional(value) : std::nullopt;
}

ColumnMeaning column_meaning(std::string_view json_text, const std::string& column) {
  parse_json(json_text, "sidecar of " + column);  // strict; the second reading keeps the order of keys
  const auto json = nlohmann::ordered_json::parse(json_text);
  ColumnMeaning meaning;
  if (!json.is_object() || !json.contains(column) || !json[column].is_object()) {
    return meaning;
  }
  const auto& entry = json[column];
  if (entry.contains("Levels") && entry["Levels"].is_object()) {
    for (const auto& [level, unused] : entry["Levels"].items()) {
      meaning.levels.push_back(level);
    }
  } else if (entry.contains("Levels") && entry["Levels"].is_array()) {
    for (const auto& level : entry["Levels"]) {
      meaning.levels.push_back(level.is_string() ? level.get<std::string>() : level.dump());
    }
  }
  std::erase(meaning.levels, "n/a");
  for (const auto& [key, field] :
       {std::pair{"Units", &meaning.units}, std::pair{"Description", &meaning.description}}) {
    if (entry.contains(key) && entry[key].is_string()) {
      *field = entry[key].get<std::string>();
    }
  }
  return meaning;
}

TargetType target_type_from(const std::string& word) {
  if (word == "auto") return TargetType::Auto;
  if (word == "class") return TargetType::Class;
  if (word == "number") return TargetType::Number;
  throw Error(message::kBadValue, "--target-type " + word + " is not valid",
              {.expected = "auto, class or number"});
}

const TargetValue* Target::find(const std::string& participant, const std::string& session) const {
  const TargetValue* general = nullptr;
  for (const TargetValue& value : values) {
    if (value.participant != participant) {
      continue;
    }
    if (value.session == session) {
      return &value;
    }
    if (!value.session.empty() && !session.empty()) {
      continue;  // another session's
    }
    if (general != nullptr && general->text != value.text) {
      throw Error(message::kBadTable, participant + " has different values of " + name + " in its sessions",
                  {.found = label(*general) + " " + general->text + ", " + label(value) + " " + value.text});
    }
    general = &value;
  }
  return general;
}

Target read_target(const Table& table, const std::string& column, const ColumnMeaning& meaning,
                   const TargetOptions& options) {
  const std::optional<size_t> wanted = table.column(column), participant = table.column("participant_id"),
                              session = table.column("session_id");
  if (!wanted || !participant) {
    const std::string absent = participant ? column : "participant_id";
    throw Error(message::kBadValue, "the table has no column " + absent,
                {.remedy = "the nearest is " + nearest(absent, table.columns)});
  }
  Target target{.name = column};
  for (const auto& row : table.rows) {
    if (row.size() != table.columns.size()) {
      throw Error(message::kBadTable,
                  "a row of the table of " + column + " has another number of fields than its header");
    }
    const std::string in_session = session && !is_missing(row[*session]) ? row[*session] : "";
    TargetValue value{row[*participant], in_session, 0, row[*wanted]};
    if (is_missing(value.text)) {
      target.missing.push_back(label(value));
    } else {
      target.values.push_back(std::move(value));
    }
  }
  drop_repeats(target);
  if (are_classes(target.values, meaning, options, target.rule)) {
    read_classes(target, meaning, options);
  } else {
    target.units = meaning.units;
    read_numbers(target);
  }
  return target;
}

}  // namespace slim::evaluate
