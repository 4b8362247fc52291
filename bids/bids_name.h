// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace slim::bids {

/// A BIDS file name taken apart: sub-01_task-rest_run-1_bold.nii.gz. The one place that spells an entity.
struct BidsName {
  /// (short key, value) in the order of the name; values keep their padding ("01").
  std::vector<std::pair<std::string, std::string>> entities;
  std::string suffix;     // empty only in reports: sub-01.html
  std::string extension;  // from the first dot, with it
  std::string prefix{};   // first word of names about no single participant: group_desc-base_embedding.tsv

  /// Takes a file name (no folder) apart; nullopt when it is not a BIDS name (never throws on any bytes).
  /// Unknown keys are kept; a wrong order or a repeated key is accepted.
  static std::optional<BidsName> parse(std::string_view file_name);
  /// The file name with entities in schema order. Error SB9001 on illegal characters or a repeated key.
  std::string build() const;
  /// Entities stand in schema order and none is repeated; unknown keys may stand anywhere.
  bool is_canonical() const;

  /// Value of an entity, or nullptr.
  const std::string* get(std::string_view key) const;
  /// A copy with an entity set (or replaced), kept in schema order.
  BidsName with(std::string_view key, std::string_view value) const;
  BidsName without(std::string_view key) const;
  BidsName with_suffix(std::string_view suffix) const;
  BidsName with_extension(std::string_view extension) const;
  /// A copy with only the entities that name an acquired run (sub ses task acq ce rec dir run echo part ...):
  /// without tpl cohort hemi space atlas seg scale res den label desc and producer keys. Suffix and extension
  /// stay.
  BidsName raw() const;
  bool operator==(const BidsName&) const = default;
};

/// Removes a leading "key-" from a label given by a user ("sub-01" -> "01").
std::string_view bare_label(std::string_view key, std::string_view label);
/// Labels are equal as text; values of index entities (run, echo, ...) also numerically ("1" = "01").
bool same_label(std::string_view key, std::string_view a, std::string_view b);

}  // namespace slim::bids
