// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "evaluate/splits.h"
#include "pipelines/group_targets.h"

namespace slim::pipelines {

/// What --stratify asks to be balanced beside the target, by case: the values of its columns ("F|siteA"), of
/// numbers that are no classes their quintiles ("q2"). Empty without columns.
std::map<std::string, std::string> stratify_texts(const GroupJob& job, const GroupTarget& target);

/// What divides participants: those that have a value, strata by the target and --stratify, groups by
/// --cv-group.
std::vector<evaluate::SplitItem> split_items(const GroupJob& job, const GroupTarget& target);

/// The divisions of --splits, of these participants. Whom the file lacks, and who is in the file only, is
/// counted in a warning. Errors of read_splits with the file's name, SB2101 when there is none.
std::vector<evaluate::Splits> given_splits(const GroupJob& job,
                                           const std::vector<evaluate::SplitItem>& items);

/// Splits of participants as splits of their cases: those with a value, the participant as the group of its
/// sessions.
evaluate::Splits case_splits(const evaluate::Splits& participants, const GroupTarget& target);

}  // namespace slim::pipelines
