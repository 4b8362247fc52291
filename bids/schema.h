// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "bids/bids_name.h"

namespace slim::bids {

enum class EntityKind { Label, Index };

/// An entity of the standard.
struct EntityRow {
  std::string_view key;   // as names spell it: acq
  std::string_view name;  // as people spell it: acquisition
  EntityKind kind;
  std::string_view values;  // the only legal ones, separated by blanks; empty = any
};

/// A family of legal names of the folders anat, fmap and func.
struct NameRule {
  bool derivative;
  std::string_view datatypes, suffixes, extensions;  // words separated by blanks
  std::string_view entities;                         // keys in order; a required one ends with '!'
};

std::string_view schema_version();
/// Entities of the standard, in the order of names.
std::span<const EntityRow> entity_rows();
std::span<const NameRule> name_rules();
std::span<const std::string_view> datatypes();
std::span<const std::string_view> suffixes();
/// Labels of `space-` that the standard defines.
std::span<const std::string_view> standard_spaces();

/// The place of a key in names, producer keys (from to mode stat) included; nullopt when it is unknown.
std::optional<int> entity_rank(std::string_view key);
/// Digits only are legal values (run, echo, ...).
bool is_index_entity(std::string_view key);
/// The key of an entity given by key or by name ("acq", "acquisition"); nullopt when it is unknown.
std::optional<std::string_view> entity_key(std::string_view key_or_name);
bool is_datatype(std::string_view folder);

/// Why the standard has no such name in a folder anat, fmap or func of a raw or derivative dataset; nullopt
/// when it has.
std::optional<std::string> name_fault(const BidsName& name, std::string_view datatype, bool derivative);

}  // namespace slim::bids
