// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/job.h"

namespace slim::pipelines {

/// Embeds the clips of the job's clip stores: a TSV of 512-vectors per clip and per run. What is current is
/// left alone.
void run_embed(const Job& job);

}  // namespace slim::pipelines
