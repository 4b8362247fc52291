// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "image/nifti_io.h"

namespace slim::image {

/// NIfTI codes of the voxel types that are read.
enum class VoxelType : int {
  UInt8 = 2,
  Int16 = 4,
  Int32 = 8,
  Float32 = 16,
  Float64 = 64,
  Int8 = 256,
  UInt16 = 512,
  UInt32 = 768,
  Int64 = 1024,
  UInt64 = 1280
};

/// Bytes of a single-file image before its voxels: header and an empty extension list. NIfTI-1, and NIfTI-2
/// where an axis is too long for it.
std::vector<std::byte> build_header(const VoxelGrid& grid, int64_t frames, const WriteOptions& options);

/// convert_voxels without special instructions, for the test that both give the same bits.
void convert_portable(const NiftiHeader& header, const std::byte* raw, float* out, size_t count);

}  // namespace slim::image
