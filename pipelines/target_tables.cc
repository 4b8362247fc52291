// SPDX-License-Identifier: Apache-2.0
#include "pipelines/target_tables.h"

#include <algorithm>
#include <map>
#include <set>

#include "bids/producer.h"
#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"
#include "core/nearest.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

constexpr std::string_view kSessions = "sessions.tsv";

/// A table that was read, and where from.
struct Opened {
  fs::path path, sidecar;
  bids::Table table;
};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));  // a dangling annex link is an error of its own
}

/// Tables of --targets-file by the name of their dataset.
std::map<std::string, std::vector<fs::path>> tables_given(const GroupJob& job) {
  std::vector<std::string> names{"slimbrain"};
  for (const std::string& text : job.config.input.derivatives) {
    names.push_back(bids::parse_named_path(text).name);
  }
  std::map<std::string, std::vector<fs::path>> tables;
  for (const std::string& text : job.config.evaluate.targets_file) {
    const size_t equals = text.find('=');
    const std::string name = equals == std::string::npos ? "slimbrain" : text.substr(0, equals);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      throw Error(message::kBadValue, "--targets-file names a dataset that this call does not have.",
                  {.found = name, .remedy = "the nearest is " + nearest(name, names)});
    }
    tables[name].emplace_back(equals == std::string::npos ? text : text.substr(equals + 1));
  }
  return tables;
}

/// Local datasets that an output folder was made from, raw first.
std::vector<fs::path> linked_datasets(const fs::path& root) {
  const nlohmann::json description = read_json(root / "dataset_description.json");
  std::vector<fs::path> roots;
  const auto links = description.find("DatasetLinks");
  if (links == description.end() || !links->is_object()) {
    return roots;
  }
  for (const auto& [name, link] : links->items()) {
    std::string text = link.is_string() ? link.get<std::string>() : std::string();
    text = text.starts_with("file://") ? text.substr(7) : text;
    const fs::path place = (root / text).lexically_normal();
    std::error_code ignored;
    if (!text.empty() && fs::is_directory(place, ignored)) {
      roots.insert(name == "raw" ? roots.begin() : roots.end(), place);
    }
  }
  return roots;
}

Opened open_table(const fs::path& path) {
  fs::path sidecar = path;
  return {path, sidecar.replace_extension(".json"), bids::read_tsv(path)};
}

/// The sub-X_sessions.tsv of participants as one table with the columns that all have; nothing without any.
std::optional<Opened> open_sessions(const fs::path& root, const std::set<std::string>& participants) {
  Opened all{root / "sub-X/sub-X_sessions.tsv", root / "sessions.json", {}};
  for (const std::string& sub : participants) {
    const fs::path path = root / sub / (sub + "_sessions.tsv");
    if (!is_there(path)) {
      continue;
    }
    const Opened one = open_table(path);
    if (!is_there(all.sidecar)) {
      all.sidecar = one.sidecar;
    }
    for (const std::string& column : one.table.columns) {  // a union: participants' tables may differ
      if (!all.table.column(column)) {
        all.table.columns.push_back(column);
      }
    }
    if (!all.table.column("participant_id")) {
      all.table.columns.emplace_back("participant_id");
    }
    for (size_t r = 0; r < one.table.rows.size(); ++r) {
      std::vector<std::string> row;
      for (const std::string& column : all.table.columns) {
        const std::string* cell = column == "participant_id" ? &sub : one.table.cell(r, column);
        row.push_back(cell == nullptr ? "n/a" : *cell);
      }
      all.table.rows.push_back(std::move(row));
    }
    all.table.warnings.insert(all.table.warnings.end(), one.table.warnings.begin(), one.table.warnings.end());
  }
  for (std::vector<std::string>& row : all.table.rows) {
    row.resize(all.table.columns.size(), "n/a");
  }
  return all.table.rows.empty() ? std::nullopt : std::optional(std::move(all));
}

std::string with_prefix(const std::string& prefix, const std::string& label) {
  return label.starts_with(prefix) ? label : prefix + label;
}

DatasetColumn column_of(const Opened& opened, const std::string& dataset, const std::string& column) {
  DatasetColumn found{.dataset = dataset, .file = opened.path.string()};
  found.table.columns = {"participant_id", "session_id", column};
  const bids::Table& table = opened.table;
  if (!table.column("participant_id")) {
    throw Error(message::kBadTable, "The table has no column participant_id.", {.file = found.file});
  }
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const std::string* session = table.cell(r, "session_id");
    const bool whole = session == nullptr || bids::is_missing(*session);
    found.table.rows.push_back({dataset + "/" + with_prefix("sub-", *table.cell(r, "participant_id")),
                                whole ? "n/a" : with_prefix("ses-", *session), *table.cell(r, column)});
  }
  if (is_there(opened.sidecar)) {
    found.meaning = within(opened.sidecar.string(),
                           [&] { return evaluate::column_meaning(read_text(opened.sidecar), column); });
  }
  return found;
}

[[noreturn]] void refuse_missing(const ColumnSpec& spec, const std::string& dataset,
                                 const std::vector<Opened>& opened, const std::vector<fs::path>& searched) {
  const std::string remedy = "--targets-file " + dataset + "=FILE.tsv names a table that has it";
  std::string places;
  for (const fs::path& place : searched) {
    places += (places.empty() ? "" : ", ") + place.string();
  }
  if (opened.empty()) {
    throw Error(message::kMissingPath, "There is no table " + spec.file + " of dataset " + dataset + ".",
                {.found = searched.empty() ? "no dataset on this machine that its DatasetLinks name"
                                           : "looked in " + places,
                 .remedy = remedy});
  }
  std::vector<std::string> columns;
  for (const Opened& one : opened) {
    columns.insert(columns.end(), one.table.columns.begin(), one.table.columns.end());
  }
  throw Error(message::kBadValue, "Dataset " + dataset + " has no column " + spec.column + ".",
              {.file = opened.front().path.string(),
               .found = "the nearest is " + nearest(spec.column, columns),
               .remedy = remedy});
}

/// The participants with runs, by dataset: its root and sub-X.
struct Members {
  fs::path root;
  std::set<std::string> participants;
};

std::optional<DatasetColumn> find_in(const GroupJob& job, const std::string& dataset, const Members& members,
                                     const ColumnSpec& spec, const std::vector<fs::path>& given,
                                     bool needed) {
  std::vector<Opened> opened;
  std::vector<fs::path> searched = given;
  const auto look = [&](Opened table) -> std::optional<DatasetColumn> {
    for (const std::string& warning : table.table.warnings) {
      job.log.say(Level::Detail, warning);
    }
    opened.push_back(std::move(table));
    return opened.back().table.column(spec.column)
               ? std::optional(column_of(opened.back(), dataset, spec.column))
               : std::nullopt;
  };
  for (const fs::path& path : given) {
    if (auto found = look(open_table(path))) {
      return found;
    }
  }
  for (const fs::path& root : linked_datasets(members.root)) {
    searched.push_back(root);
    std::optional<Opened> table;
    if (spec.file == kSessions) {
      table = open_sessions(root, members.participants);
    } else if (is_there(root / spec.file)) {
      table = open_table(root / spec.file);
    }
    if (table) {
      if (auto found = look(std::move(*table))) {
        return found;
      }
    }
  }
  if (needed) {
    refuse_missing(spec, dataset, opened, searched);
  }
  return std::nullopt;
}

}  // namespace

ColumnSpec column_spec(const std::string& text) {
  constexpr std::string_view kEnd = ".tsv:";
  const size_t end = text.find(kEnd);
  if (end == std::string::npos) {
    return {.column = text};
  }
  return {.file = text.substr(0, end + kEnd.size() - 1), .column = text.substr(end + kEnd.size())};
}

std::vector<DatasetColumn> find_column(const GroupJob& job, const std::string& spec, bool needed) {
  const auto given = tables_given(job);
  std::map<std::string, Members> datasets;
  for (const StoredRun& run : job.runs) {
    Members& members = datasets[run.dataset];
    members.root = run.root;
    members.participants.insert(run.cell("sub"));
  }
  std::vector<DatasetColumn> columns;
  for (const auto& [dataset, members] : datasets) {
    const auto own = given.find(dataset);
    auto found = find_in(job, dataset, members, column_spec(spec),
                         own == given.end() ? std::vector<fs::path>() : own->second, needed);
    if (found) {
      columns.push_back(std::move(*found));
    }
  }
  return columns;
}

}  // namespace slim::pipelines
