// SPDX-License-Identifier: Apache-2.0
#include "bids/schema.h"

#include <algorithm>
#include <array>

namespace slim::bids {
namespace {

#include "bids/bids_tables.inc"

// Keys of derivative producers that the standard does not know yet; all stand before `desc`.
constexpr std::array<std::string_view, 4> kProducerKeys{"from", "to", "mode", "stat"};
constexpr int kEntityCount = static_cast<int>(std::size(kEntityRows));
static_assert(kEntityRows[kEntityCount - 1].key == "desc");

const EntityRow* find_entity(std::string_view key) {
  for (const EntityRow& row : kEntityRows) {
    if (row.key == key) return &row;
  }
  return nullptr;
}

/// Calls visit(word) until it returns true; whether it did.
template <class Visit>
bool any_word(std::string_view words, Visit&& visit) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    if (visit(words.substr(0, end))) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

bool has_word(std::string_view words, std::string_view wanted) {
  return any_word(words, [&](std::string_view word) { return word == wanted; });
}

bool takes_entity(const NameRule& rule, std::string_view key) {
  return any_word(rule.entities, [&](std::string_view word) {
    if (word.ends_with('!')) word.remove_suffix(1);
    return word == key;
  });
}

std::optional<std::string> entity_fault(const BidsName& name, const NameRule& rule) {
  for (const auto& [key, value] : name.entities) {
    if (!takes_entity(rule, key)) return "the entity " + key + " does not belong here";
    const EntityRow* row = find_entity(key);
    if (row && !row->values.empty() && !has_word(row->values, value)) {
      return key + "-" + value + " is not one of " + std::string(row->values);
    }
  }
  std::string missing;
  const bool is_missing = any_word(rule.entities, [&](std::string_view word) {
    if (!word.ends_with('!')) return false;
    word.remove_suffix(1);
    missing = word;
    return name.get(word) == nullptr;
  });
  if (is_missing) return "the entity " + missing + " is missing";
  return std::nullopt;
}

}  // namespace

std::string_view schema_version() { return kSchemaVersion; }
std::span<const EntityRow> entity_rows() { return kEntityRows; }
std::span<const NameRule> name_rules() { return kNameRules; }
std::span<const std::string_view> datatypes() { return kDatatypes; }
std::span<const std::string_view> suffixes() { return kSuffixes; }
std::span<const std::string_view> standard_spaces() { return kStandardSpaces; }

std::optional<int> entity_rank(std::string_view key) {
  constexpr int kProducers = static_cast<int>(kProducerKeys.size());
  if (const EntityRow* row = find_entity(key)) {
    const int place = static_cast<int>(row - kEntityRows);
    return place == kEntityCount - 1 ? place + kProducers : place;
  }
  const auto producer = std::find(kProducerKeys.begin(), kProducerKeys.end(), key);
  if (producer == kProducerKeys.end()) return std::nullopt;
  return kEntityCount - 1 + static_cast<int>(producer - kProducerKeys.begin());
}

bool is_index_entity(std::string_view key) {
  const EntityRow* row = find_entity(key);
  return row && row->kind == EntityKind::Index;
}

std::optional<std::string_view> entity_key(std::string_view key_or_name) {
  for (const EntityRow& row : kEntityRows) {
    if (row.key == key_or_name || row.name == key_or_name) return row.key;
  }
  const auto producer = std::find(kProducerKeys.begin(), kProducerKeys.end(), key_or_name);
  return producer == kProducerKeys.end() ? std::nullopt : std::optional(*producer);
}

bool is_datatype(std::string_view folder) {
  return std::find(std::begin(kDatatypes), std::end(kDatatypes), folder) != std::end(kDatatypes);
}

std::optional<std::string> name_fault(const BidsName& name, std::string_view datatype, bool derivative) {
  std::string fault = "no file of the folder " + std::string(datatype) + " has the suffix " + name.suffix;
  for (const NameRule& rule : kNameRules) {
    // A derivative dataset may hold everything that a raw one may.
    if (rule.derivative && !derivative) continue;
    if (!has_word(rule.datatypes, datatype) || !has_word(rule.suffixes, name.suffix)) continue;
    if (!has_word(rule.extensions, name.extension)) {
      fault = "the suffix " + name.suffix + " does not go with " + name.extension;
    } else if (std::optional<std::string> reason = entity_fault(name, rule)) {
      fault = *reason;
    } else {
      return std::nullopt;
    }
  }
  return fault;
}

}  // namespace slim::bids
