// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "clips/roi_matrix.h"

namespace slim::clips {

/// Writes a parcellation as safetensors: labels, row_of_value, image_voxels and stored_voxels; the name is
/// metadata. Errors SB5001, SB5002.
void write_roi_labels(const std::filesystem::path& path, const RoiLabels& labels);

/// Reads one; its hash is computed anew. Error SB2101 without a file, SB2020 for one that is broken or no
/// parcellation.
RoiLabels read_roi_labels(const std::filesystem::path& path);

}  // namespace slim::clips
