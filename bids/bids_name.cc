// SPDX-License-Identifier: Apache-2.0
#include "bids/bids_name.h"

#include <algorithm>
#include <array>

#include "bids/schema.h"
#include "core/error.h"

namespace slim::bids {
namespace {

using Entity = std::pair<std::string, std::string>;

// Our own names about no single participant; any other bare first word makes a name foreign.
constexpr std::array<std::string_view, 2> kPrefixes{"group", "slimbrain"};
constexpr std::array<std::string_view, 11> kDerivedKeys{"tpl",   "cohort", "hemi", "space", "atlas", "seg",
                                                        "scale", "res",    "den",  "label", "desc"};
constexpr std::array<std::string_view, 4> kProducerKeys{"from", "to", "mode", "stat"};

// Not <cctype>: its answers depend on the locale.
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

template <class Legal>
bool all_of(std::string_view text, Legal legal) {
  return !text.empty() && std::all_of(text.begin(), text.end(), legal);
}

bool is_word(std::string_view text) { return all_of(text, is_alnum); }

bool is_value(std::string_view key, std::string_view value) {
  if (is_index_entity(key)) return all_of(value, is_digit);
  return all_of(value, [](char c) { return is_alnum(c) || c == '+'; });
}

bool is_extension(std::string_view text) {
  return text.size() > 1 && text.front() == '.' &&
         all_of(text, [](char c) { return is_alnum(c) || c == '.' || c == '+' || c == '-'; });
}

bool is_prefix(std::string_view word) {
  return std::find(kPrefixes.begin(), kPrefixes.end(), word) != kPrefixes.end();
}

/// Only reports have no suffix; anything else without one is not a BIDS file.
bool may_lack_suffix(const BidsName& name) { return name.extension == ".html" && !name.entities.empty(); }

/// Ranks with unknown keys riding on their predecessor, so that they keep their place.
std::vector<std::pair<int, const Entity*>> ranked(const std::vector<Entity>& entities) {
  std::vector<std::pair<int, const Entity*>> result;
  result.reserve(entities.size());
  int rank = -1;
  for (const Entity& entity : entities) {
    rank = entity_rank(entity.first).value_or(rank);
    result.emplace_back(rank, &entity);
  }
  return result;
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(message::kBug, "A file name was to be made with " + what + ".");
}

void check_parts(const BidsName& name) {
  for (size_t i = 0; i < name.entities.size(); ++i) {
    const auto& [key, value] = name.entities[i];
    if (!is_word(key) || !is_value(key, value)) refuse("the illegal part " + key + "-" + value);
    for (size_t j = 0; j < i; ++j) {
      if (name.entities[j].first == key) refuse("the entity " + key + " twice");
    }
  }
  if (!is_extension(name.extension)) refuse("the illegal extension \"" + name.extension + "\"");
  if (!name.prefix.empty() && !is_prefix(name.prefix)) refuse("the unknown first word " + name.prefix);
  if (name.suffix.empty() ? !may_lack_suffix(name) : !is_word(name.suffix)) {
    refuse("the illegal suffix \"" + name.suffix + "\"");
  }
}

}  // namespace

std::optional<BidsName> BidsName::parse(std::string_view file_name) {
  const size_t dot = file_name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return std::nullopt;
  if (!is_extension(file_name.substr(dot))) return std::nullopt;
  BidsName name{.entities = {}, .suffix = {}, .extension = std::string(file_name.substr(dot))};
  std::string_view rest = file_name.substr(0, dot);
  for (bool first = true, last = false; !last; first = false) {
    const size_t end = rest.find('_');
    last = end == std::string_view::npos;
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(last ? rest.size() : end + 1);
    const size_t hyphen = part.find('-');
    if (hyphen != std::string_view::npos) {
      const std::string_view key = part.substr(0, hyphen), value = part.substr(hyphen + 1);
      if (!is_word(key) || !is_value(key, value)) return std::nullopt;
      name.entities.emplace_back(key, value);
    } else if (last && is_word(part)) {
      name.suffix = part;
    } else if (first && is_prefix(part)) {
      name.prefix = part;
    } else {
      return std::nullopt;
    }
  }
  if (name.suffix.empty() && !may_lack_suffix(name)) return std::nullopt;
  return name;
}

std::string BidsName::build() const {
  check_parts(*this);
  auto order = ranked(entities);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text = prefix;
  const auto append = [&text](std::string_view part) {
    if (!text.empty()) text += '_';
    text += part;
  };
  for (const auto& [rank, entity] : order) append(entity->first + "-" + entity->second);
  if (!suffix.empty()) append(suffix);
  return text + extension;
}

bool BidsName::is_canonical() const {
  const auto order = ranked(entities);
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && order[i].first < order[i - 1].first) return false;
    for (size_t j = 0; j < i; ++j) {
      if (entities[i].first == entities[j].first) return false;
    }
  }
  return true;
}

const std::string* BidsName::get(std::string_view key) const {
  for (const auto& [name, value] : entities) {
    if (name == key) return &value;
  }
  return nullptr;
}

BidsName BidsName::with(std::string_view key, std::string_view value) const {
  BidsName copy = *this;
  for (auto& [name, old] : copy.entities) {
    if (name == key) {
      old = value;
      return copy;
    }
  }
  auto place = copy.entities.end();
  if (const std::optional<int> rank = entity_rank(key)) {
    place = std::find_if(copy.entities.begin(), copy.entities.end(), [&](const Entity& entity) {
      const std::optional<int> other = entity_rank(entity.first);
      return other && *other > *rank;
    });
  }
  copy.entities.emplace(place, key, value);
  return copy;
}

BidsName BidsName::without(std::string_view key) const {
  BidsName copy = *this;
  std::erase_if(copy.entities, [&](const Entity& entity) { return entity.first == key; });
  return copy;
}

BidsName BidsName::with_suffix(std::string_view suffix) const {
  BidsName copy = *this;
  copy.suffix = suffix;
  return copy;
}

BidsName BidsName::with_extension(std::string_view extension) const {
  BidsName copy = *this;
  copy.extension = extension;
  return copy;
}

BidsName BidsName::raw() const {
  const auto listed = [](const auto& keys, std::string_view key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  BidsName copy = *this;
  std::erase_if(copy.entities, [&](const Entity& entity) {
    return listed(kDerivedKeys, entity.first) || listed(kProducerKeys, entity.first);
  });
  return copy;
}

std::string_view bare_label(std::string_view key, std::string_view label) {
  const bool has_key = label.size() > key.size() && label.starts_with(key) && label[key.size()] == '-';
  return has_key ? label.substr(key.size() + 1) : label;
}

bool same_label(std::string_view key, std::string_view a, std::string_view b) {
  if (a == b) return true;
  if (!is_index_entity(key) || !all_of(a, is_digit) || !all_of(b, is_digit)) return false;
  // Text without leading zeros, not a number: an index may have any length.
  const auto strip = [](std::string_view text) {
    while (text.size() > 1 && text.front() == '0') text.remove_prefix(1);
    return text;
  };
  return strip(a) == strip(b);
}

}  // namespace slim::bids
