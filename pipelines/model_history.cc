// SPDX-License-Identifier: Apache-2.0
#include "pipelines/model_history.h"

#include <algorithm>

#include "bids/tsv.h"
#include "core/error.h"
#include "evaluate/splits_table.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

constexpr const char* kOwn = "splits.tsv";
constexpr const char* kParents = "parent_splits.tsv";

/// A division of participants and the model that learnt by it.
struct Division {
  std::string model;
  evaluate::Splits splits;
};

std::optional<bids::Table> table_in(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) ? std::optional(bids::read_tsv(path)) : std::nullopt;
}

std::vector<Division> divisions_of(const evaluate::Table& table, const std::string& model,
                                   const fs::path& path) {
  std::vector<Division> divisions;
  if (table.rows.empty()) {
    return divisions;
  }
  for (evaluate::Splits& splits :
       within(path.string(), [&] { return evaluate::read_splits(table, "slimbrain"); })) {
    divisions.push_back({model, std::move(splits)});
  }
  return divisions;
}

std::vector<Division> own_divisions(const model::ModelFolder& model) {
  const auto table = table_in(model.path / kOwn);
  return table ? divisions_of({table->columns, table->rows}, model.card.name, model.path / kOwn)
               : std::vector<Division>();
}

/// The divisions of parent_splits.tsv, in its order: nearest parent first.
std::vector<Division> parent_divisions(const fs::path& path) {
  std::vector<Division> divisions;
  const auto table = table_in(path);
  if (!table) {
    return divisions;
  }
  if (!table->column("model")) {
    throw Error(message::kBadTable, "The table of the parents' splits has no column model.",
                {.file = path.string()});
  }
  evaluate::Table block{table->columns, {}};
  for (size_t r = 0; r < table->rows.size(); ++r) {
    block.rows.push_back(table->rows[r]);
    const std::string name = *table->cell(r, "model");
    if (r + 1 == table->rows.size() || *table->cell(r + 1, "model") != name) {
      for (Division& division : divisions_of(block, name, path)) {
        divisions.push_back(std::move(division));
      }
      block.rows.clear();
    }
  }
  return divisions;
}

/// Training participants, and those of validation, which decided what was kept.
evaluate::TrainedOn trained_on(const Division& division) {
  evaluate::TrainedOn trained{division.model, {}};
  for (const evaluate::SplitRow& row : division.splits.rows) {
    if (row.role && *row.role != evaluate::Role::Test) {
      trained.keys.push_back(row.key);
    }
  }
  return trained;
}

}  // namespace

std::string own_key(const std::string& participant) { return "slimbrain/sub-" + participant; }

std::string ModelHistory::split_of(const std::string& key) const {
  const auto role = roles.find(key);
  return role == roles.end() ? "none" : std::string(evaluate::name_of(role->second));
}

bool ModelHistory::was_pretrained(const std::string& key) const {
  return !evaluate::leaked(std::span(&key, 1), pretrained).empty();
}

ModelHistory model_history(const model::ModelFolder& model) {
  ModelHistory history{.known = !model.card.source};
  const auto add = [&](const Division& division, bool pretraining) {
    for (const evaluate::SplitRow& row : division.splits.rows) {
      if (row.role) {
        history.roles.emplace(row.key, *row.role);
      }
    }
    history.trained.push_back(trained_on(division));
    if (pretraining) {
      history.pretrained.push_back(history.trained.back());
    }
  };
  for (const Division& division : own_divisions(model)) {
    add(division, !model.card.tuning);
  }
  for (const Division& division : parent_divisions(model.path / kParents)) {
    add(division, true);
  }
  return history;
}

std::string parent_splits_tsv(const model::ModelFolder& parent) {
  std::string text = "model\tdataset\tparticipant_id\tgroup\tstratum\tfold\tsplit\tseed\thash\n";
  std::vector<Division> divisions = own_divisions(parent);
  for (Division& division : parent_divisions(parent.path / kParents)) {
    divisions.push_back(std::move(division));
  }
  for (const Division& division : divisions) {
    const std::string rows = evaluate::splits_tsv(std::span(&division.splits, 1));
    for (size_t first = rows.find('\n') + 1; first < rows.size();) {
      const size_t end = rows.find('\n', first) + 1;
      text += division.model + "\t" + rows.substr(first, end - first);
      first = end;
    }
  }
  return text;
}

}  // namespace slim::pipelines
