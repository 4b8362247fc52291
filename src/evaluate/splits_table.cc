// SPDX-License-Identifier: Apache-2.0
#include "evaluate/splits_table.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "core/error.h"
#include "core/sha256.h"

namespace slim::evaluate {
namespace {

std::string or_missing(const std::string& text) { return text.empty() ? "n/a" : text; }
bool is_missing(const std::string& text) { return text.empty() || text == "n/a"; }

/// Dataset, participant, group, stratum, fold, split: what the hash is made of.
std::string line_of(const SplitRow& row) {
  const size_t slash = row.key.rfind('/');
  const std::string dataset = slash == std::string::npos ? "" : row.key.substr(0, slash);
  const std::string participant = slash == std::string::npos ? row.key : row.key.substr(slash + 1);
  return or_missing(dataset) + "\t" + participant + "\t" + or_missing(row.group) + "\t" +
         or_missing(row.stratum) + "\t" + (row.fold ? std::to_string(*row.fold) : "n/a") + "\t" +
         (row.role ? std::string(name_of(*row.role)) : "n/a");
}

template <class Number>
Number number_from(const std::string& text, const char* what) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error(message::kBadTable, "\"" + text + "\" is no " + what + " of a split",
                {.expected = "a whole number"});
  }
  return value;
}

/// Reads cells by column name; absent columns read as missing.
class Cells {
 public:
  explicit Cells(const Table& table) : table_(table) {}
  std::string get(size_t row, const char* column) const {
    const std::optional<size_t> c = table_.column(column);
    const std::string text = c && *c < table_.rows[row].size() ? table_.rows[row][*c] : "";
    return is_missing(text) ? "" : text;
  }

 private:
  const Table& table_;
};

void finish(Splits& splits, const std::string& stored_hash) {
  std::sort(splits.rows.begin(), splits.rows.end(),
            [](const SplitRow& a, const SplitRow& b) { return a.key < b.key; });
  for (size_t i = 0; i < splits.rows.size(); ++i) {
    const SplitRow& row = splits.rows[i];
    if (i > 0 && row.key == splits.rows[i - 1].key) {
      throw Error(message::kBadTable, "participant " + row.key + " comes twice in a split");
    }
    splits.folds = std::max(splits.folds, row.fold.value_or(-1) + 1);
  }
  for (const SplitRow& row : splits.rows) {
    if (splits.folds > 0 ? !row.fold : !row.role) {
      throw Error(message::kBadTable,
                  "participant " + row.key + " has no " + (splits.folds > 0 ? "fold" : "split"));
    }
  }
  refuse_divided_atoms(splits);
  if (!stored_hash.empty() && stored_hash != hash_of(splits)) {
    throw Error(
        message::kBadTable, "the rows of a split do not fit their hash: they were changed by hand",
        {.expected = stored_hash, .found = hash_of(splits), .remedy = "remove the column hash to use them"});
  }
}

}  // namespace

std::string hash_of(const Splits& splits) {
  Sha256 hash;
  hash.update(std::to_string(splits.seed) + "\t" + std::to_string(splits.folds) + "\n");
  for (const SplitRow& row : splits.rows) {
    hash.update(line_of(row) + "\n");
  }
  return hash.hex();
}

std::string splits_tsv(std::span<const Splits> splits) {
  std::string text = "dataset\tparticipant_id\tgroup\tstratum\tfold\tsplit\tseed\thash\n";
  for (const Splits& one : splits) {
    const std::string hash = hash_of(one);
    for (const SplitRow& row : one.rows) {
      text += line_of(row) + "\t" + std::to_string(one.seed) + "\t" + hash + "\n";
    }
  }
  return text;
}

std::vector<Splits> read_splits(const Table& table, const std::string& dataset) {
  if (!table.column("participant_id") || (!table.column("fold") && !table.column("split"))) {
    throw Error(message::kBadTable, "a table of splits needs the columns participant_id and fold or split");
  }
  const Cells cells(table);
  std::vector<Splits> result;
  std::vector<std::string> hashes;
  std::map<uint64_t, size_t> place;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const std::string seed_text = cells.get(r, "seed");
    const uint64_t seed = seed_text.empty() ? 0 : number_from<uint64_t>(seed_text, "seed");
    const auto [found, is_new] = place.try_emplace(seed, result.size());
    if (is_new) {
      result.push_back({.seed = seed});
      hashes.push_back(cells.get(r, "hash"));
    }
    if (cells.get(r, "hash") != hashes[found->second]) {
      throw Error(message::kBadTable, "the rows of one split carry two hashes");
    }
    const std::string own = cells.get(r, "dataset"), name = own.empty() ? dataset : own;
    SplitRow row{(name.empty() ? "" : name + "/") + cells.get(r, "participant_id"), cells.get(r, "group"),
                 cells.get(r, "stratum")};
    if (const std::string fold = cells.get(r, "fold"); !fold.empty()) {
      row.fold = number_from<int>(fold, "fold");
      if (*row.fold < 0) {
        throw Error(message::kBadTable, "folds are counted from 0", {.found = fold});
      }
    }
    if (const std::string split = cells.get(r, "split"); !split.empty()) {
      row.role = role_from(split);
    }
    result[found->second].rows.push_back(std::move(row));
  }
  for (size_t i = 0; i < result.size(); ++i) {
    finish(result[i], hashes[i]);
  }
  return result;
}

}  // namespace slim::evaluate
