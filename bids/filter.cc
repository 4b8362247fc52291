// SPDX-License-Identifier: Apache-2.0
#include "bids/filter.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "bids/schema.h"
#include "bids/text_file.h"
#include "core/error.h"
#include "core/json_file.h"
#include "core/nearest.h"

namespace slim::bids {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 7> kComponents{"bold", "sbref", "t1w", "t2w", "flair", "fmap", "roi"};
constexpr std::array<std::string_view, 3> kParts{"suffix", "datatype", "extension"};
constexpr std::string_view kPattern = "regex:";
// std::regex recurses over its pattern; nobody describes a label with more.
constexpr size_t kLongestPattern = 200;

template <class Names>
bool listed(const Names& names, std::string_view wanted) {
  return std::find(names.begin(), names.end(), wanted) != names.end();
}

std::vector<std::string_view> all_entities() {
  std::vector<std::string_view> names(kParts.begin(), kParts.end());
  for (const EntityRow& row : entity_rows()) {
    names.push_back(row.key);
    if (row.name != row.key) names.push_back(row.name);
  }
  return names;
}

/// "acquisition" -> "acq"; error SB1006 with the nearest name.
std::string resolve_entity(std::string_view name, const std::string& place) {
  if (listed(kParts, name)) return std::string(name);
  if (const std::optional<std::string_view> key = entity_key(name)) return std::string(*key);
  throw Error(message::kUnknownKey, "Unknown entity " + std::string(name) + place + "; the nearest is " +
                                        nearest(name, all_entities()) + ".");
}

/// The value of an entity or part in a file's name, nullptr when it is absent.
const std::string* value_of(const BidsFile& file, std::string_view entity) {
  if (entity == "suffix") return file.name.suffix.empty() ? nullptr : &file.name.suffix;
  if (entity == "extension") return &file.name.extension;
  if (entity == "datatype") return file.datatype.empty() ? nullptr : &file.datatype;
  return file.name.get(entity);
}

std::string bare_value(std::string_view entity, std::string_view value) {
  if (entity == "extension" && !value.empty() && value.front() != '.') return "." + std::string(value);
  return std::string(bare_label(entity, value));
}

void add_pattern(EntityRule& rule, const std::string& pattern, const std::string& place) {
  if (pattern.size() > kLongestPattern) {
    throw Error(message::kBadValue, "The pattern of " + rule.entity + place + " is longer than " +
                                        std::to_string(kLongestPattern) + " characters.");
  }
  try {
    rule.patterns.push_back(std::make_shared<const std::regex>(pattern, std::regex::ECMAScript));
  } catch (const std::regex_error&) {
    throw Error(message::kBadValue,
                "The pattern " + pattern + " of " + rule.entity + place + " is not a regular expression.");
  }
}

void add_value(EntityRule& rule, const json& value, const std::string& place) {
  if (value.is_null()) {
    rule.absent = true;
  } else if (value.is_number_integer()) {
    rule.values.push_back(value.dump());
  } else if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    if (text == "*") {
      rule.present = true;
    } else if (text.starts_with(kPattern)) {
      add_pattern(rule, text.substr(kPattern.size()), place);
    } else {
      rule.values.push_back(bare_value(rule.entity, text));
    }
  } else {
    throw Error(message::kBadValue, "The value of " + rule.entity + place + " is a " + value.type_name() +
                                        "; use text, a whole number, null or a list of these.");
  }
}

std::vector<EntityRule> component_rules(const json& filter, const std::string& place) {
  if (!filter.is_object()) {
    throw Error(message::kBadValue,
                "The filter" + place + " is a " + filter.type_name() + "; use an object.");
  }
  std::vector<EntityRule> rules;
  for (const auto& [name, value] : filter.items()) {
    EntityRule rule{.entity = resolve_entity(name, place), .values = {}};
    if (value.is_array()) {
      for (const json& alternative : value) add_value(rule, alternative, place);
    } else {
      add_value(rule, value, place);
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

void add_step(Funnel& funnel, std::string name, std::string_view entity,
              const std::vector<std::string>& labels, bool excludes = false) {
  if (labels.empty()) return;
  EntityRule rule{.entity = std::string(entity), .values = {}};
  for (const std::string& label : labels) rule.values.push_back(bare_value(entity, label));
  funnel.steps.push_back({.name = std::move(name), .rules = {std::move(rule)}, .excludes = excludes});
}

void add_filter_step(Funnel& funnel, const std::vector<std::string>& filters) {
  if (filters.empty()) return;
  SelectionStep step{.name = "filter"};
  for (const std::string& text : filters) {
    EntityRule rule = parse_filter(text);
    const auto same = std::find_if(step.rules.begin(), step.rules.end(),
                                   [&](const EntityRule& other) { return other.entity == rule.entity; });
    if (same == step.rules.end()) {
      step.rules.push_back(std::move(rule));
    } else {
      same->values.insert(same->values.end(), rule.values.begin(), rule.values.end());
      same->patterns.insert(same->patterns.end(), rule.patterns.begin(), rule.patterns.end());
      same->present = same->present || rule.present;
    }
  }
  funnel.steps.push_back(std::move(step));
}

void add_filter_file_step(Funnel& funnel, const std::filesystem::path& path) {
  if (path.empty()) return;
  const std::string name = path.filename().string();
  SelectionStep step{.name = "bids-filter-file",
                     .rules = filter_rules(parse_json(read_dataset_text(path), path), "bold", name)};
  for (const EntityRule& rule : step.rules) {
    for (const SelectionStep& earlier : funnel.steps) {
      if (earlier.excludes || earlier.rules.empty()) continue;
      const bool both = std::any_of(earlier.rules.begin(), earlier.rules.end(),
                                    [&](const EntityRule& other) { return other.entity == rule.entity; });
      if (both) {
        funnel.warnings.push_back("--" + earlier.name + " and " + name + " both choose values of " +
                                  rule.entity + "; only files that fit both are used.");
      }
    }
  }
  funnel.steps.push_back(std::move(step));
}

}  // namespace

bool EntityRule::accepts(const BidsFile& file) const {
  const std::string* value = value_of(file, entity);
  if (value == nullptr) return absent;
  if (present) return true;
  const auto equals = [&](const std::string& wanted) { return same_label(entity, wanted, *value); };
  if (std::any_of(values.begin(), values.end(), equals)) return true;
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const auto& pattern) { return std::regex_search(*value, *pattern); });
}

bool SelectionStep::keeps(const BidsFile& file) const {
  const auto accepts = [&](const EntityRule& rule) { return rule.accepts(file); };
  return excludes ? std::none_of(rules.begin(), rules.end(), accepts)
                  : std::all_of(rules.begin(), rules.end(), accepts);
}

bool Funnel::keeps(const BidsFile& file) const {
  return std::all_of(steps.begin(), steps.end(), [&](const SelectionStep& step) { return step.keeps(file); });
}

std::vector<EntityRule> filter_rules(const json& filters, std::string_view component, std::string_view file) {
  if (!filters.is_object()) {
    throw Error(message::kBadValue, std::string(file) + " holds no JSON object of components.");
  }
  std::vector<EntityRule> wanted;
  for (const auto& [name, filter] : filters.items()) {
    if (!listed(kComponents, name)) {
      throw Error(message::kUnknownKey,
                  "Unknown component " + name + " in " + std::string(file) + "; the nearest is " +
                      nearest(name, std::span<const std::string_view>(kComponents)) + ".");
    }
    std::vector<EntityRule> rules = component_rules(filter, " in " + name + " of " + std::string(file));
    if (name == component) wanted = std::move(rules);
  }
  return wanted;
}

EntityRule parse_filter(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos || equals + 1 == text.size()) {
    throw Error(message::kBadValue,
                "--filter " + std::string(text) + " is not valid: use ENTITY=VALUE, for example acq=mb.");
  }
  EntityRule rule{.entity = resolve_entity(text.substr(0, equals), " in --filter"), .values = {}};
  add_value(rule, json(std::string(text.substr(equals + 1))), " in --filter");
  return rule;
}

Funnel make_funnel(const Selection& selection) {
  Funnel funnel;
  add_step(funnel, "participant-label", "sub", selection.participants);
  add_step(funnel, "exclude-participant-label", "sub", selection.exclude, true);
  add_step(funnel, "session-label", "ses", selection.sessions);
  add_step(funnel, "task-label", "task", selection.tasks);
  add_step(funnel, "run-label", "run", selection.runs);
  add_filter_step(funnel, selection.filters);
  add_filter_file_step(funnel, selection.bids_filter_file);
  return funnel;
}

std::vector<std::string> known_participants(std::span<const std::string> asked,
                                            std::span<const std::string> existing) {
  std::vector<std::string> labels;
  for (const std::string& text : asked) {
    std::string label(bare_label("sub", text));
    if (!listed(existing, label)) {
      std::string near;
      for (const std::string& candidate : nearest_few(label, existing, 2))
        near += (near.empty() ? "" : ", ") + candidate;
      throw Error(message::kUnknownLabel,
                  "There is no participant " + label + (near.empty() ? "." : "; nearest: " + near + "."));
    }
    labels.push_back(std::move(label));
  }
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

}  // namespace slim::bids
