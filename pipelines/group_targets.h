// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "pipelines/group.h"

namespace slim::pipelines {

/// The key of a run's participant: NAME/sub-X.
std::string participant_key(const StoredRun& run);

/// What is to be predicted, for everybody who has clip stores. A case is a participant; where some
/// participant's sessions have different values, it is a session of a participant (NAME/sub-X/ses-Y).
struct GroupTarget {
  std::string label;   // letters and digits of the column, for file names
  std::string column;  // as --target named it: COLUMN or FILE.tsv:COLUMN
  std::string units{}, description{};
  std::vector<std::string> classes{};        // empty = numbers
  bool by_session = false;                   // cases are sessions
  std::map<std::string, double> value_of{};  // by case: a number, or the index of a class
  std::vector<std::string> missing{};        // cases without a value, sorted

  /// Key of the case that a run belongs to.
  std::string case_of(const StoredRun& run) const;
};

/// NAME/sub-X of a case.
std::string participant_of(const std::string& case_key);

/// The target of --target (Note [Tables of targets] in target_tables.h); says in the log how many values
/// there are and who has none. `classes` are those of a model, in its order; others count as missing. Errors:
/// SB1002 no --target, an unknown name in --targets-file or no such column, SB2101 no table, SB2003 a broken
/// table or classes and units that differ between datasets, SB3002 when nobody has a value.
GroupTarget group_target(const GroupJob& job, const std::vector<std::string>& classes = {});

/// The texts of a column (COLUMN or FILE.tsv:COLUMN) by participant, n/a left out. Where it is not `needed`
/// a missing table or column gives none. Errors as above; SB2003 for sessions that differ.
std::map<std::string, std::string> group_column(const GroupJob& job, const std::string& column,
                                                bool needed = true);

}  // namespace slim::pipelines
