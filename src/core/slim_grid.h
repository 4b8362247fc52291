// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace slim {

// Note [Grid]. The SLIM grid is 96 x 96 x 96 voxels of 2 mm in MNI space, stored LAS (x runs from the patient's right
// to the left in storage, so voxel x = 0 is the patient's right). It is the 91 x 109 x 91 MNI152NLin6Asym lattice,
// centre padded and cropped. This header is the one place that knows its numbers.
inline constexpr int64_t kSlimSize = 96;
inline constexpr int64_t kSlimVoxels = kSlimSize * kSlimSize * kSlimSize;
inline constexpr double kSlimSpacingMm = 2.0;
inline constexpr const char* kSlimGridName = "slim96-2mm";
/// Rows of scanner_from_voxel, RAS+ mm.
inline constexpr std::array<std::array<double, 4>, 3> kSlimScannerFromVoxel{
    {{-2.0, 0.0, 0.0, 94.0}, {0.0, 2.0, 0.0, -114.0}, {0.0, 0.0, 2.0, -76.0}}};

/// A token is a cube of 4 x 4 x 4 voxels in one frame; a location is a block of 8 x 8 x 8 tokens.
inline constexpr int64_t kTokenEdge = 4;
inline constexpr int64_t kTokenVoxels = kTokenEdge * kTokenEdge * kTokenEdge;
inline constexpr int64_t kTokenGrid = kSlimSize / kTokenEdge;  // 24
inline constexpr int64_t kLocationEdge = 8;
inline constexpr int64_t kLocationGrid = kTokenGrid / kLocationEdge;  // 3
inline constexpr int64_t kLocations = kLocationGrid * kLocationGrid * kLocationGrid;

/// A clip is 40 frames; a mask unit is a location in 8 frames.
inline constexpr int64_t kClipFrames = 40;
inline constexpr int64_t kUnitFrames = 8;
inline constexpr int64_t kTimeBlocks = kClipFrames / kUnitFrames;

}  // namespace slim
