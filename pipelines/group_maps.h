// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/group.h"

namespace slim::pipelines {

/// Mean attribution maps on the SLIM grid, over the participants of each split of the head's (train,
/// validation, test, none):
/// `group_[task-T_]space-<X>_res-slim_stat-<method>_desc-<target>[<Class>]<Split>_boldmap.nii.gz`. A
/// participant's map is the mean of its runs'. Where runs explain different classes, each class has a map of
/// its own. Errors SB4002 when maps of one target were made by two models or in two ways, SB2003 for a
/// sidecar that does not say, SB2011 for an image that is no map on the SLIM grid.
void write_group_maps(const GroupJob& job);

}  // namespace slim::pipelines
