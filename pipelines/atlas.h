// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "clips/roi_matrix.h"
#include "pipelines/config.h"

namespace slim::pipelines {

/// Regions on the SLIM grid, and what people call them.
struct Atlas {
  clips::RoiLabels labels;
  std::map<int32_t, std::string> names;  // of every label
};

/// The atlases of --atlas, in its order; without any the grid parcellation alone (names cell1, cell2, ...).
/// Error SB1002 for a name given twice; those of read_atlas.
std::vector<Atlas> atlases_of(const Config& config);

/// The atlas of NAME=FILE: a 3-D label image in MNI space, nearest neighbour on the SLIM grid. Names come
/// from columns `index` and `name` of the table FILE.tsv beside it; labels without one are called
/// region<label>. Errors: SB1002 for a name that is not letters and digits, or "grid", and for an image
/// without labels; SB2007 where the file's name says a space other than MNI; SB2012, SB2013 for other than a
/// 3-D image with known left; SB2015 for values that are not whole numbers, SB2017 where no label lies in the
/// brain; SB2003.
Atlas read_atlas(std::string_view named_file);

}  // namespace slim::pipelines
