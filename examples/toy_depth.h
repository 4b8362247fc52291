// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "image/voxel_grid.h"

namespace slim::toy {

/// Depth in mm below the surface of the packaged brain mask, negative outside, at the voxels of a lattice in
/// RAS order whose voxels coincide with the SLIM grid's.
std::vector<float> packaged_depth(const image::VoxelGrid& canvas);

}  // namespace slim::toy
