// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "clips/roi_matrix.h"
#include "model/checkpoint/model_folder.h"

namespace slim::pipelines {

/// Puts the regions of stage 1 into a model folder as atlas.safetensors, so that the folder is all that its
/// ranker needs; nothing for the grid parcellation, which every program knows.
void write_stage1_atlas(const std::filesystem::path& folder, const model::Stage1Config& stage1,
                        const clips::RoiLabels& labels);

/// The regions that a model's stage 1 reads. Error SB2101 where atlas.safetensors is missing, SB2020 where it
/// is broken, SB4002 where it holds other regions than the model's configuration names.
clips::RoiLabels stage1_atlas(const std::filesystem::path& folder, const model::Stage1Config& stage1);

}  // namespace slim::pipelines
