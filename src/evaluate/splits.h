// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace slim::evaluate {

// Note [Splits]. What is dealt out is an atom: a group (family, site) if one is given, else a participant.
// Inside a stratum atoms are sorted by SHA-256 of "seed|key"; folds are dealt in turn, the counter running on
// across strata (in the order of their names). A hold-out cuts each stratum at the shares; what rounding owes
// a part is carried to the next stratum, so the whole keeps the shares even when every stratum is small.
// Nothing depends on the order of participants.

enum class Role { Train, Validation, Test };
std::string_view name_of(Role role);  // train, validation, test
/// Error SB2003 for another word.
Role role_from(std::string_view word);

/// A participant as the splits see it. The key is NAME/sub-X; an empty group means the participant stands for
/// itself.
struct SplitItem {
  std::string key, group{}, stratum{};
};

struct SplitRow {
  std::string key{}, group{}, stratum{};
  std::optional<int> fold{};   // K-fold: the fold that tests it
  std::optional<Role> role{};  // hold-out, or the roles when one fold is tested
  bool operator==(const SplitRow&) const = default;
  /// The unit that is dealt out and drawn: the group, else the key.
  const std::string& atom() const { return group.empty() ? key : group; }
};

/// One division of the participants.
struct Splits {
  uint64_t seed = 0;
  int folds = 0;                 // 0 = hold-out
  std::vector<SplitRow> rows{};  // sorted by key
};

/// K folds (Note [Splits]). Error SB1002 when folds < 2 or there are fewer atoms, SB2003 when a key comes
/// twice.
Splits k_fold(std::span<const SplitItem> items, int folds, uint64_t seed);

struct HoldOutOptions {
  std::array<double, 3> shares{0.7, 0.1, 0.2};  // train, validation, test
  std::map<std::string, Role> kept{};           // roles of an earlier split, which stay
};
/// A hold-out (Note [Splits]); an atom with a kept member takes that role. Error SB7001 when the kept roles
/// of one atom disagree.
Splits hold_out(std::span<const SplitItem> items, uint64_t seed, const HoldOutOptions& options = {});

/// The roles when fold f is tested: f tests, f + 1 mod K validates, the rest trains. A hold-out is returned
/// as it is. Error SB1002 when there are fewer than 3 folds.
Splits roles_for_fold(const Splits& splits, int fold);

/// Quintile ("q1".."q5") of each number by mid-rank; equal numbers share one.
std::vector<std::string> quintiles(std::span<const double> values);

/// Strata of a target: the class's name, or the quintile of a number when class_names is empty; crossed
/// ("a|b") with the values to stratify by, one a sample or none at all.
std::vector<std::string> target_strata(std::span<const double> values,
                                       std::span<const std::string> class_names,
                                       std::span<const std::string> stratify = {});

/// Stratified inner folds 0..folds-1 of samples with these keys, one atom and stratum each; fewer folds when
/// atoms are few.
std::vector<int> inner_folds(std::span<const SplitItem> items, int folds, uint64_t seed);

/// Labels shuffled inside strata, permutation number `index`. The strata must not be those of the labels
/// themselves.
std::vector<double> permute_within_strata(std::span<const double> values, std::span<const SplitItem> items,
                                          uint64_t seed, uint64_t index);

/// A model, or one of its parents, and the participants it was trained on.
struct TrainedOn {
  std::string model;
  std::vector<std::string> keys;
};
/// The tested participants that some model was trained on, sorted.
std::vector<std::string> leaked(std::span<const std::string> tested, std::span<const TrainedOn> trained);
/// Error SB7001 when there is any; it names the model and up to three participants.
void refuse_leakage(std::span<const std::string> tested, std::span<const TrainedOn> trained);
/// Error SB7001 when one atom has members in two parts (of a table that came from elsewhere).
void refuse_divided_atoms(const Splits& splits);

}  // namespace slim::evaluate
