// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/voxel_grid.h"

namespace slim::image {

/// What a NIfTI header says, in our units.
struct NiftiHeader {
  std::filesystem::path path;
  VoxelGrid grid;                                      // dim[1..3]; spacing in mm
  bool has_orientation = false;                        // sform_code or qform_code > 0; else grid holds no known left
  std::vector<int64_t> dims;                           // dim[1..dim[0]] as stored
  int64_t frames = 1;                                  // dim[4], 1 when absent
  bool is_four_d = false;                              // dim[4] > 1 and dim[5..7] absent or 1
  std::optional<double> repetition_time_s{};           // pixdim[4] in seconds; absent when 0 or not finite
  int datatype = 0;                                    // NIfTI code
  double slope = 1.0, inter = 0.0;                     // value = raw * slope + inter
  bool swapped = false;                                // other byte order
  uint64_t data_offset = 0;                            // in the inflated stream
  std::vector<std::string> warnings{};                 // sentences: unit guessed, forms differ, ...
};

/// Reads .nii and .nii.gz headers (NIfTI-1 and -2, both byte orders). Errors SB2101, SB2102 (annexed), SB2010, SB2011,
/// SB2006 (ends inside the header). Never reads voxels.
NiftiHeader read_header(const std::filesystem::path& path);

/// Frames of a series, in order, each once.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  virtual const NiftiHeader& header() const = 0;
  /// Size of a stored frame in bytes: voxels * bytes per voxel.
  virtual size_t frame_bytes() const = 0;
  /// Inflates the next frame's stored bytes. Error SB2006 when the file ends early or its checksum fails.
  virtual void next(std::span<std::byte> raw) = 0;
  /// After the last frame: reads to the end of the stream and verifies the checksum. Error SB2006. Returns warnings.
  virtual std::vector<std::string> finish() = 0;
};
std::unique_ptr<FrameSource> open_frames(const std::filesystem::path& path);

/// Converts stored voxels to float32 with the header's scaling, x fastest. raw.size() = out.size() * bytes per voxel.
void convert_voxels(const NiftiHeader& header, std::span<const std::byte> raw, std::span<float> out);
size_t bytes_per_voxel(const NiftiHeader& header);

/// A 3-D image in memory, x fastest.
struct Volume {
  VoxelGrid grid;
  std::vector<float> values;
};
/// Reads one 3-D image (dim[4] absent or 1). Error SB2012 otherwise, SB2013 without orientation.
Volume read_volume(const std::filesystem::path& path);

/// How an image is written: sform and qform with equal matrices, mm and s.
struct WriteOptions {
  int form_code = 4;                   // 4 = MNI, 1 = scanner
  double repetition_time_s = 0.0;      // for 4-D
  bool as_uint8 = false;               // masks; else float32
};
/// Writes .nii or .nii.gz (gzip without name and time). frames = values.size() / grid.voxels().
void write_nifti(const std::filesystem::path& path, const VoxelGrid& grid, std::span<const float> values,
                 const WriteOptions& options);

}  // namespace slim::image
