// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/group.h"

namespace slim::pipelines {

/// Pre-trains stage 2 on the group's clip stores and writes OUT_DIR/models/model-<name>. Participants are
/// held out 70/10/20; the test ones are never read. A training that was stopped goes on. Errors SB3002 with
/// fewer than 2 participants to learn from, SB1002, SB1008, SB4002, SB4003, SB4005, SB6001.
void run_pretrain(const GroupJob& job);

}  // namespace slim::pipelines
