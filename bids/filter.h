// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bids/bids_dataset.h"

namespace slim::bids {

/// A condition on one entity, on `suffix`, `datatype` or `extension`: any of its alternatives.
struct EntityRule {
  std::string entity;               // key as in names (acq), or suffix, datatype, extension
  std::vector<std::string> values;  // any of these; run and echo compare as numbers
  bool absent = false;              // or the entity is not there
  bool present = false;             // or it is there, whatever its value
  std::vector<std::shared_ptr<const std::regex>> patterns{};  // or a pattern is found in its value

  bool accepts(const BidsFile& file) const;
};

/// What a user asked for; empty lists ask for nothing. Labels may carry their key (sub-01).
struct Selection {
  std::vector<std::string> participants{}, exclude{}, sessions{}, tasks{}, runs{};
  std::vector<std::string> filters{};        // ENTITY=VALUE; the same entity again adds a value
  std::filesystem::path bids_filter_file{};  // empty = none
};

/// One step of the funnel: a file stays when every rule accepts it (for the excluded participants: when none
/// does).
struct SelectionStep {
  std::string name;  // the flag without hyphens: participant-label
  std::vector<EntityRule> rules{};
  bool excludes = false;

  bool keeps(const BidsFile& file) const;
};

/// The steps of a selection in the order of the funnel, with what is worth a warning (a flag and the filter
/// file name the same entity: both must hold).
struct Funnel {
  std::vector<SelectionStep> steps;
  std::vector<std::string> warnings;

  bool keeps(const BidsFile& file) const;
};

/// Rules of `component` in a BIDS filter file, after all of the file was checked. Error SB1006 for an unknown
/// component or entity, SB1002 for a value of another kind; both name `file`.
std::vector<EntityRule> filter_rules(const nlohmann::json& filters, std::string_view component,
                                     std::string_view file);

/// The rule of ENTITY=VALUE. Error SB1006 for an unknown entity, SB1002 without a value.
EntityRule parse_filter(std::string_view text);

/// Reads the filter file if one is named and puts the steps in order. Errors as filter_rules and
/// parse_filter.
Funnel make_funnel(const Selection& selection);

/// Labels without key and duplicates, sorted. Error SB3001 when one is not among `existing`, with the nearest
/// that are.
std::vector<std::string> known_participants(std::span<const std::string> asked,
                                            std::span<const std::string> existing);

}  // namespace slim::bids
