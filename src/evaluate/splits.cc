// SPDX-License-Identifier: Apache-2.0
#include "evaluate/splits.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/seed.h"
#include "core/sha256.h"

namespace slim::evaluate {
namespace {

struct Atom {
  std::string key, stratum, hash;
  std::vector<size_t> rows;
};

std::vector<SplitRow> sorted_rows(std::span<const SplitItem> items) {
  std::vector<SplitRow> rows;
  for (const SplitItem& item : items) {
    rows.push_back({item.key, item.group, item.stratum});
  }
  std::sort(rows.begin(), rows.end(), [](const SplitRow& a, const SplitRow& b) { return a.key < b.key; });
  const auto twice = std::adjacent_find(rows.begin(), rows.end(),
                                        [](const SplitRow& a, const SplitRow& b) { return a.key == b.key; });
  if (twice != rows.end()) {
    throw Error(message::kBadTable, "participant " + twice->key + " comes twice in a split");
  }
  return rows;
}

/// The most frequent stratum of some rows; ties go to the lowest name.
std::string usual_stratum(const std::vector<SplitRow>& rows, const std::vector<size_t>& members) {
  std::map<std::string, int> counts;
  for (const size_t row : members) {
    ++counts[rows[row].stratum];
  }
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

/// Atoms by stratum, inside it by hash.
std::map<std::string, std::vector<Atom>> atoms_of(const std::vector<SplitRow>& rows, uint64_t seed) {
  // A participant's own key and a group of the same name are different atoms.
  std::map<std::pair<bool, std::string>, std::vector<size_t>> members;
  for (size_t i = 0; i < rows.size(); ++i) {
    members[{!rows[i].group.empty(), rows[i].atom()}].push_back(i);
  }
  std::map<std::string, std::vector<Atom>> strata;
  for (const auto& [name, in_rows] : members) {
    const std::string stratum = usual_stratum(rows, in_rows);
    strata[stratum].push_back(
        {name.second, stratum, sha256_hex(std::to_string(seed) + "|" + name.second), in_rows});
  }
  for (auto& [stratum, atoms] : strata) {
    std::sort(atoms.begin(), atoms.end(),
              [](const Atom& a, const Atom& b) { return std::tie(a.hash, a.key) < std::tie(b.hash, b.key); });
  }
  return strata;
}

/// Whole numbers with sum n nearest to what is wanted (sum n too): floors, then the largest remainders.
std::array<size_t, 3> whole_parts(const std::array<double, 3>& wanted, size_t n) {
  std::array<size_t, 3> parts{};
  std::array<double, 3> remainder{};
  for (size_t part = 0; part < 3; ++part) {
    // The rounding of 0.7 x 10 must not cost an atom.
    parts[part] = static_cast<size_t>(std::floor(std::max(0.0, wanted[part]) + 1e-9));
    remainder[part] = wanted[part] - static_cast<double>(parts[part]);
  }
  for (size_t given = parts[0] + parts[1] + parts[2]; given < n; ++given) {
    // Equal remainders (but for rounding) go to the first part.
    size_t best = 0;
    for (size_t part = 1; part < 3; ++part) {
      best = remainder[part] > remainder[best] + 1e-9 ? part : best;
    }
    ++parts[best];
    remainder[best] -= 1;
  }
  return parts;
}

std::optional<Role> kept_role(const Atom& atom, const std::vector<SplitRow>& rows,
                              const std::map<std::string, Role>& kept) {
  std::optional<Role> role;
  for (const size_t row : atom.rows) {
    const auto found = kept.find(rows[row].key);
    if (found == kept.end()) {
      continue;
    }
    if (role && *role != found->second) {
      throw Error(message::kLeakage,
                  "group " + atom.key + " has participants in two parts of the earlier split",
                  {.remedy = "choose another split or model"});
    }
    role = found->second;
  }
  return role;
}

}  // namespace

std::string_view name_of(Role role) {
  return role == Role::Train ? "train" : role == Role::Validation ? "validation" : "test";
}

Role role_from(std::string_view word) {
  for (const Role role : {Role::Train, Role::Validation, Role::Test}) {
    if (word == name_of(role)) {
      return role;
    }
  }
  throw Error(message::kBadTable, "\"" + std::string(word) + "\" is no part of a split",
              {.expected = "train, validation or test"});
}

Splits k_fold(std::span<const SplitItem> items, int folds, uint64_t seed) {
  Splits splits{seed, folds, sorted_rows(items)};
  const auto strata = atoms_of(splits.rows, seed);
  size_t n_atoms = 0;
  for (const auto& [stratum, atoms] : strata) {
    n_atoms += atoms.size();
  }
  if (folds < 2 || n_atoms < static_cast<size_t>(folds)) {
    throw Error(message::kBadValue, std::to_string(folds) + " folds cannot be made of " +
                                        std::to_string(n_atoms) + " participants or groups");
  }
  int next = 0;
  for (const auto& [stratum, atoms] : strata) {
    for (const Atom& atom : atoms) {
      for (const size_t row : atom.rows) {
        splits.rows[row].fold = next;
      }
      next = (next + 1) % folds;
    }
  }
  return splits;
}

Splits hold_out(std::span<const SplitItem> items, uint64_t seed, const HoldOutOptions& options) {
  Splits splits{seed, 0, sorted_rows(items)};
  std::array<double, 3> owed{};
  for (auto& [stratum, atoms] : atoms_of(splits.rows, seed)) {
    std::vector<const Atom*> fresh;
    for (const Atom& atom : atoms) {
      const std::optional<Role> role = kept_role(atom, splits.rows, options.kept);
      for (const size_t row : atom.rows) {
        splits.rows[row].role = role;
      }
      if (!role) {
        fresh.push_back(&atom);
      }
    }
    const double total = options.shares[0] + options.shares[1] + options.shares[2];
    for (size_t part = 0; part < 3; ++part) {
      owed[part] += options.shares[part] / total * static_cast<double>(fresh.size());
    }
    const std::array<size_t, 3> sizes = whole_parts(owed, fresh.size());
    size_t next = 0;
    for (size_t part = 0; part < 3; ++part) {
      owed[part] -= static_cast<double>(sizes[part]);
      for (size_t k = 0; k < sizes[part]; ++k, ++next) {
        for (const size_t row : fresh[next]->rows) {
          splits.rows[row].role = static_cast<Role>(part);
        }
      }
    }
  }
  return splits;
}

Splits roles_for_fold(const Splits& splits, int fold) {
  Splits result = splits;
  if (splits.folds == 0) {
    return result;
  }
  if (splits.folds < 3 || fold < 0 || fold >= splits.folds) {
    throw Error(message::kBadValue,
                "fold " + std::to_string(fold) + " of " + std::to_string(splits.folds) +
                    " cannot be tested: one fold tests, one validates, the others train",
                {.expected = "at least 3 folds"});
  }
  for (SplitRow& row : result.rows) {
    const int own = row.fold.value_or(-1);
    row.role = own == fold ? Role::Test : own == (fold + 1) % splits.folds ? Role::Validation : Role::Train;
  }
  return result;
}

std::vector<std::string> quintiles(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> names;
  for (const double value : values) {
    const auto [low, high] = std::equal_range(sorted.begin(), sorted.end(), value);
    // Twice the mid-rank counted from 0, so that whole numbers decide.
    const auto twice = (low - sorted.begin()) + (high - sorted.begin()) - 1;
    const auto n = static_cast<std::ptrdiff_t>(sorted.size());
    names.push_back("q" + std::to_string(1 + std::min<std::ptrdiff_t>(4, 5 * (twice + 1) / (2 * n))));
  }
  return names;
}

std::vector<std::string> target_strata(std::span<const double> values,
                                       std::span<const std::string> class_names,
                                       std::span<const std::string> stratify) {
  std::vector<std::string> strata =
      class_names.empty() ? quintiles(values) : std::vector<std::string>(values.size());
  for (size_t i = 0; i < strata.size(); ++i) {
    if (!class_names.empty()) {
      strata[i] = class_names[static_cast<size_t>(values[i])];
    }
    if (!stratify.empty()) {
      strata[i] += "|" + stratify[i];
    }
  }
  return strata;
}

std::vector<int> inner_folds(std::span<const SplitItem> items, int folds, uint64_t seed) {
  std::set<std::pair<bool, std::string>> atoms;
  for (const SplitItem& item : items) {
    atoms.insert({!item.group.empty(), item.group.empty() ? item.key : item.group});
  }
  const Splits splits = k_fold(items, std::min(folds, static_cast<int>(atoms.size())), seed);
  std::map<std::string, int> fold_of;
  for (const SplitRow& row : splits.rows) {
    fold_of[row.key] = row.fold.value_or(0);
  }
  std::vector<int> result;
  for (const SplitItem& item : items) {
    result.push_back(fold_of[item.key]);
  }
  return result;
}

std::vector<double> permute_within_strata(std::span<const double> values, std::span<const SplitItem> items,
                                          uint64_t seed, uint64_t index) {
  std::map<std::string, std::vector<size_t>> strata;
  for (size_t i = 0; i < items.size(); ++i) {
    strata[items[i].stratum].push_back(i);
  }
  std::vector<double> shuffled(values.begin(), values.end());
  for (auto& [stratum, rows] : strata) {
    std::sort(rows.begin(), rows.end(), [&](size_t a, size_t b) { return items[a].key < items[b].key; });
    Stream stream(seed, "permute_labels|" + stratum, 0, index);
    for (size_t k = rows.size(); k > 1; --k) {
      std::swap(shuffled[rows[k - 1]], shuffled[rows[stream.bounded(k)]]);
    }
  }
  return shuffled;
}

std::vector<std::string> leaked(std::span<const std::string> tested, std::span<const TrainedOn> trained) {
  std::set<std::string> seen;
  for (const TrainedOn& model : trained) {
    seen.insert(model.keys.begin(), model.keys.end());
  }
  std::set<std::string> both;
  for (const std::string& key : tested) {
    if (seen.contains(key)) {
      both.insert(key);
    }
  }
  return {both.begin(), both.end()};
}

void refuse_leakage(std::span<const std::string> tested, std::span<const TrainedOn> trained) {
  for (const TrainedOn& model : trained) {
    const std::vector<std::string> both = leaked(tested, std::span(&model, 1));
    if (both.empty()) {
      continue;
    }
    std::string examples;
    for (size_t i = 0; i < std::min<size_t>(3, both.size()); ++i) {
      examples += (i > 0 ? ", " : "") + both[i];
    }
    throw Error(message::kLeakage,
                std::to_string(both.size()) +
                    (both.size() == 1 ? " test participant was" : " test participants were") +
                    " in the training of model " + model.model,
                {.found = examples + (both.size() > 3 ? ", ..." : ""),
                 .remedy = "choose another split or model, or --include-train to label them"});
  }
}

void refuse_divided_atoms(const Splits& splits) {
  std::map<std::pair<bool, std::string>, const SplitRow*> first;
  for (const SplitRow& row : splits.rows) {
    const SplitRow* other = first.try_emplace({!row.group.empty(), row.atom()}, &row).first->second;
    if (row.role != other->role || row.fold != other->fold) {
      throw Error(
          message::kLeakage, row.atom() + " is in two parts of the split",
          {.found = other->key + " and " + row.key, .remedy = "give all members of a group one part"});
    }
  }
}

}  // namespace slim::evaluate
