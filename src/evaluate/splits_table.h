// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "evaluate/splits.h"
#include "evaluate/table.h"

namespace slim::evaluate {

/// SHA-256 of seed, number of folds and rows: equal divisions, equal hashes.
std::string hash_of(const Splits& splits);

/// The text of splits.tsv: dataset participant_id group stratum fold split seed hash; n/a where a column does
/// not apply. One block of rows a division (repeated seeds).
std::string splits_tsv(std::span<const Splits> splits);

/// The divisions in a table with at least participant_id (and dataset, else `dataset`), and fold or split;
/// one for each seed. Error SB2003 when a column is missing, a cell is unusable, a participant comes twice,
/// or a hash does not fit its rows; SB7001 when a group is in two parts.
std::vector<Splits> read_splits(const Table& table, const std::string& dataset = {});

}  // namespace slim::evaluate
