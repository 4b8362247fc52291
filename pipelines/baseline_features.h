// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "evaluate/cross_predict.h"
#include "pipelines/group_targets.h"

namespace slim::pipelines {

/// What a row of an evaluation is fitted on: features by case, or why there are none.
struct RowFeatures {
  std::string method, description;
  evaluate::FeatureTable table{};
  std::string why_absent{};
};

/// How a person moved: mean and SD of FD, share of frames beyond 0.5 mm, mean standardised DVARS and SD of
/// the six motion parameters, as far as the QC of all runs that have an FD holds them; the mean over runs.
RowFeatures motion_features(const GroupTarget& target, std::span<const StoredRun* const> runs);

/// Age, and a column for each sex, where participants.tsv has them and they are not the target. Participants
/// without one of them are left out.
RowFeatures demographic_features(const GroupJob& job, const GroupTarget& target);

/// `voxel_mean`, `connectome` (cells of the grid) and `connectome_<atlas>` for each --atlas, from clip
/// stores; the mean over runs, several participants at once. Error SB6001 when stopped.
std::vector<RowFeatures> signal_features(const GroupJob& job, const GroupTarget& target,
                                         std::span<const StoredRun* const> runs);

}  // namespace slim::pipelines
