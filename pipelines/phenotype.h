// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/group.h"

namespace slim::pipelines {

/// phenotype/slimbrain_desc-<target>_predictions.tsv for every target that runs of OUT_DIR have predictions
/// of: a row for each participant, the logits (or numbers) averaged over all its clips. Error SB4002 when two
/// models predicted one target, SB2003 for a broken table.
void write_phenotypes(const GroupJob& job);

}  // namespace slim::pipelines
