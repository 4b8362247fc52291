// SPDX-License-Identifier: Apache-2.0
#include "pipelines/group_targets.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "core/error.h"
#include "evaluate/targets.h"
#include "model/checkpoint/model_folder.h"
#include "pipelines/target_tables.h"

namespace slim::pipelines {
namespace {

using Columns = std::vector<DatasetColumn>;

/// What the sidecars say together. Error SB2003 when two of them disagree.
evaluate::ColumnMeaning joint_meaning(const Columns& columns) {
  evaluate::ColumnMeaning joint;
  const DatasetColumn *with_levels = nullptr, *with_units = nullptr;
  for (const DatasetColumn& column : columns) {
    const evaluate::ColumnMeaning& own = column.meaning;
    const auto differ = [&](const std::string& what, const DatasetColumn& other) {
      throw Error(message::kBadTable, "Two datasets disagree on the " + what + " of a column.",
                  {.found = other.file + " and " + column.file,
                   .remedy = "give tables that agree with --targets-file NAME=FILE.tsv"});
    };
    if (!own.levels.empty()) {
      const std::set<std::string> ours(own.levels.begin(), own.levels.end());
      if (with_levels != nullptr && ours != std::set(joint.levels.begin(), joint.levels.end())) {
        differ("Levels", *with_levels);
      }
      if (with_levels == nullptr) {
        joint.levels = own.levels;
        with_levels = &column;
      }
    } else if (!own.units.empty()) {
      if (with_units != nullptr && own.units != joint.units) {
        differ("Units", *with_units);
      }
      joint.units = own.units;
      with_units = &column;
    }
    joint.description = joint.description.empty() ? own.description : joint.description;
  }
  if (with_levels != nullptr && with_units != nullptr) {
    throw Error(message::kBadTable, "One dataset has Levels of a column where another has Units.",
                {.found = with_levels->file + " and " + with_units->file});
  }
  return joint;
}

evaluate::Table joint_table(const Columns& columns) {
  evaluate::Table joint = columns.front().table;
  for (auto column = columns.begin() + 1; column != columns.end(); ++column) {
    joint.rows.insert(joint.rows.end(), column->table.rows.begin(), column->table.rows.end());
  }
  return joint;
}

/// Error SB2003 unless the Levels, or else one dataset, know every class of all datasets: "M" here and "male"
/// there are no four classes.
void check_classes(const Columns& columns, const evaluate::ColumnMeaning& meaning) {
  std::set<std::string> all, most(meaning.levels.begin(), meaning.levels.end());
  const DatasetColumn* with_most = &columns.front();
  for (const DatasetColumn& column : columns) {
    std::set<std::string> own;
    for (const std::vector<std::string>& row : column.table.rows) {
      if (!row[2].empty() && row[2] != "n/a") {
        own.insert(row[2]);
      }
    }
    all.insert(own.begin(), own.end());
    if (meaning.levels.empty() && own.size() > most.size()) {
      most = own;
      with_most = &column;
    }
  }
  for (const std::string& name : all) {
    if (columns.size() > 1 && !most.contains(name)) {
      throw Error(message::kBadTable, "The datasets have different classes.",
                  {.file = with_most->file,
                   .found = "\"" + name + "\" is a class of another dataset only",
                   .remedy = "spell classes alike with --targets-file NAME=FILE.tsv"});
    }
  }
}

/// The values of everybody with clip stores: by participant, or by session where sessions differ.
void take_values(const GroupJob& job, const evaluate::Target& from, GroupTarget& target) {
  struct Found {
    std::map<std::string, const evaluate::TargetValue*> sessions{};
    std::set<double> values{};
  };
  std::map<std::string, Found> participants;
  for (const StoredRun& run : job.runs) {
    if (run.store.empty()) {
      continue;
    }
    const bool whole = run.name.get("ses") == nullptr;
    const evaluate::TargetValue* value = from.find(participant_key(run), whole ? "" : run.cell("ses"));
    Found& found = participants[participant_key(run)];
    found.sessions[whole ? "" : run.cell("ses")] = value;
    if (value != nullptr) {
      found.values.insert(value->value);
    }
    target.by_session = target.by_session || found.values.size() > 1;
  }
  for (const auto& [key, found] : participants) {
    if (!target.by_session && !found.values.empty()) {
      target.value_of[key] = *found.values.begin();
    } else if (!target.by_session) {
      target.missing.push_back(key);
    }
    for (const auto& [session, value] : found.sessions) {
      const std::string of_session = session.empty() ? key : key + "/" + session;
      if (target.by_session && value != nullptr) {
        target.value_of[of_session] = value->value;
      } else if (target.by_session) {
        target.missing.push_back(of_session);
      }
    }
  }
}

std::map<double, int64_t> counts_of(const GroupTarget& target) {
  std::map<double, int64_t> counts;
  for (const auto& [key, value] : target.value_of) {
    ++counts[value];
  }
  return counts;
}

/// Leaves out classes that nobody has, so that nothing is asked to learn them.
void drop_empty_classes(const GroupJob& job, GroupTarget& target) {
  const std::map<double, int64_t> counts = counts_of(target);
  std::vector<std::string> kept;
  std::map<double, double> place;
  for (size_t c = 0; c < target.classes.size(); ++c) {
    if (counts.contains(static_cast<double>(c))) {
      place[static_cast<double>(c)] = static_cast<double>(kept.size());
      kept.push_back(target.classes[c]);
    } else {
      job.log.warn("class \"" + target.classes[c] + "\" of " + target.column +
                   " is left out: nobody with a clip store has it");
    }
  }
  target.classes = kept;
  for (auto& [key, value] : target.value_of) {
    value = place.at(value);
  }
}

void say_counts(const GroupJob& job, const GroupTarget& target, const std::string& rule) {
  const std::string cases = target.by_session ? " sessions" : " participants";
  std::string text = "target " + target.column + ": " + std::to_string(target.value_of.size()) + cases;
  if (target.classes.empty()) {
    text += " with a number" + (target.units.empty() ? "" : " in " + target.units);
  }
  std::map<double, int64_t> counts = counts_of(target);
  for (size_t c = 0; c < target.classes.size(); ++c) {
    text +=
        (c == 0 ? ", " : " + ") + std::to_string(counts[static_cast<double>(c)]) + " " + target.classes[c];
  }
  job.log.say(Level::Normal, text + " (" + rule + "); " + std::to_string(target.missing.size()) +
                                 " without a value are left out");
  if (!target.missing.empty()) {
    const std::string list =
        std::accumulate(target.missing.begin() + 1, target.missing.end(), target.missing.front(),
                        [](const std::string& a, const std::string& b) { return a + ", " + b; });
    job.log.say(Level::Detail, "without a value of " + target.column + ": " + list);
  }
}

}  // namespace

std::string participant_of(const std::string& case_key) {
  return case_key.substr(0, case_key.find('/', case_key.find('/') + 1));
}

std::string participant_key(const StoredRun& run) { return run.dataset + "/" + run.cell("sub"); }

std::string GroupTarget::case_of(const StoredRun& run) const {
  const bool whole = !by_session || run.name.get("ses") == nullptr;
  return participant_key(run) + (whole ? "" : "/" + run.cell("ses"));
}

GroupTarget group_target(const GroupJob& job, const std::vector<std::string>& classes) {
  const std::string& spec = job.config.evaluate.target;
  const evaluate::TargetType type = evaluate::target_type_from(job.config.evaluate.target_type);
  if (spec.empty()) {
    throw Error(message::kBadValue, "This stage needs to know what to predict.",
                {.remedy = "--target COLUMN of participants.tsv, or --target FILE.tsv:COLUMN"});
  }
  const Columns columns = find_column(job, spec, true);
  if (columns.empty()) {
    throw Error(message::kEmptySelection, "There are no runs to predict anything of.",
                {.file = job.out_dir.string(), .remedy = "slimbrain BIDS_DIR OUT_DIR participant"});
  }
  const std::string column = column_spec(spec).column;
  const evaluate::ColumnMeaning meaning = joint_meaning(columns);
  const evaluate::Target read = within(columns.front().file, [&] {
    return evaluate::read_target(joint_table(columns), column, meaning, {.type = type, .classes = classes});
  });
  if (!read.classes.empty() && classes.empty()) {
    check_classes(columns, meaning);
  }
  for (const std::string& warning : read.warnings) {
    job.log.warn(warning);
  }
  GroupTarget target{.label = model::model_label(column),
                     .column = spec,
                     .units = read.units,
                     .description = meaning.description,
                     .classes = read.classes};
  take_values(job, read, target);
  if (target.classes.empty() && job.config.evaluate.class_weight != "none") {
    throw Error(message::kBadValue, "--class-weight weighs classes, and " + spec + " is a number.",
                {.found = read.rule, .remedy = "leave it out, or --target-type class"});
  }
  if (target.value_of.empty()) {
    throw Error(message::kEmptySelection, "Nobody with a clip store has a value of " + spec + ".",
                {.file = columns.front().file,
                 .found = std::to_string(target.missing.size()) + " participants without one"});
  }
  if (classes.empty() && !target.classes.empty()) {
    drop_empty_classes(job, target);
  }
  say_counts(job, target, read.rule);
  return target;
}

std::map<std::string, std::string> group_column(const GroupJob& job, const std::string& column, bool needed) {
  std::set<std::string> wanted;
  for (const StoredRun& run : job.runs) {
    wanted.insert(participant_key(run));
  }
  std::map<std::string, std::string> texts;
  for (const DatasetColumn& found : find_column(job, column, needed)) {
    for (const std::vector<std::string>& row : found.table.rows) {
      if (!wanted.contains(row[0]) || row[2].empty() || row[2] == "n/a") {
        continue;
      }
      const auto [place, is_new] = texts.emplace(row[0], row[2]);
      if (!is_new && place->second != row[2]) {
        throw Error(message::kBadTable, row[0] + " has two values of " + column + ".",
                    {.file = found.file, .found = place->second + " and " + row[2]});
      }
    }
  }
  return texts;
}

}  // namespace slim::pipelines
