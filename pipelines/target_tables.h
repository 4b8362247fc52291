// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evaluate/table.h"
#include "evaluate/targets.h"
#include "pipelines/group.h"

namespace slim::pipelines {

// Note [Tables of targets]. A column is looked for, dataset by dataset, in the files of --targets-file that
// name the dataset, then (in the file that the target names, participants.tsv unless told) in the datasets
// that its dataset_description.json links: raw first. A JSON file of the same name beside the table gives
// Levels and Units. The tables are read as one, so that type and classes are the same everywhere.

/// One column of all datasets of a call (Note [Tables of targets]).
struct DatasetColumn {
  std::string dataset, file;          // name of the output folder; path of the table
  evaluate::Table table{};            // participant_id (NAME/sub-X), session_id (ses-Y or n/a), the column
  evaluate::ColumnMeaning meaning{};  // what the sidecar says
};

/// What is asked for: COLUMN, or FILE.tsv:COLUMN.
struct ColumnSpec {
  std::string file = "participants.tsv", column{};
};
ColumnSpec column_spec(const std::string& text);

/// The column in every dataset that has runs. A dataset without it is left out unless it is `needed`. Errors:
/// SB1002 for a name in --targets-file that is no dataset's, or a table without such a column (the nearest is
/// named); SB2101 where a dataset has no such table; SB2003 for broken tables.
std::vector<DatasetColumn> find_column(const GroupJob& job, const std::string& spec, bool needed);

}  // namespace slim::pipelines
