// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
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
  VoxelGrid grid;                             // dim[1..3]; scanner_from_voxel in mm
  bool has_orientation = false;               // sform_code or qform_code > 0; else grid holds no known left
  std::vector<int64_t> dims;                  // dim[1..dim[0]] as stored
  int64_t frames = 1;                         // dim[4], 1 when absent
  bool is_four_d = false;                     // dim[4] > 1 and dim[5..7] absent or 1
  std::optional<double> repetition_time_s{};  // pixdim[4] in seconds; absent when not positive and finite
  int datatype = 0;                           // NIfTI code
  int intent = 0;                             // NIfTI code, 0 = none
  double slope = 1.0, inter = 0.0;            // value = raw * slope + inter
  bool swapped = false;                       // other byte order than this machine's
  bool is_pair = false;                       // voxels lie in the .img beside the .hdr
  uint64_t data_offset = 0;                   // in the inflated stream
  std::vector<std::string> warnings{};        // sentences: unit guessed, forms differ, ...

  /// 3-D images in the file: the product of dim[4..7].
  int64_t volumes() const;
  /// dim[1..] as "64 x 64 x 34".
  std::string shape() const;
};

/// What the first bytes of an (inflated) file say: all of them, or at least kHeaderBytes. Errors SB2010,
/// SB2011, SB2006 when it ends inside the header; `path` is only named in them.
NiftiHeader parse_header(std::span<const std::byte> bytes, const std::filesystem::path& path);
inline constexpr size_t kHeaderBytes = 540;

/// Reads headers of .nii and .nii.gz (NIfTI-1 and -2, both byte orders), and of .hdr/.img pairs by either
/// name. Errors SB2101, SB2102 (annexed), SB2010, SB2011, SB2006 (ends inside the header). Never reads
/// voxels.
NiftiHeader read_header(const std::filesystem::path& path);

/// Frames of a series, in storage order, each once: header().volumes() of them.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  virtual const NiftiHeader& header() const = 0;
  /// Size of a stored frame in bytes: voxels * bytes per voxel.
  virtual size_t frame_bytes() const = 0;
  /// Inflates the next frame's stored bytes; raw.size() = frame_bytes(). Error SB2006 when the file ends
  /// early or its checksum fails.
  virtual void next(std::span<std::byte> raw) = 0;
  /// After the last frame: reads to the end of the stream and verifies the checksum. Error SB2006. Returns
  /// warnings.
  virtual std::vector<std::string> finish() = 0;
};

/// Opens a file for one pass over its frames. Errors of read_header, and SB2006 at once when the file is too
/// small to hold what its header says, so that no caller sets memory aside for it.
std::unique_ptr<FrameSource> open_frames(const std::filesystem::path& path);

/// Converts stored voxels to float32 with the header's scaling, x fastest. raw.size() = out.size() * bytes
/// per voxel.
void convert_voxels(const NiftiHeader& header, std::span<const std::byte> raw, std::span<float> out);
/// 1, 2, 4 or 8.
size_t bytes_per_voxel(const NiftiHeader& header);

/// A 3-D image in memory, x fastest.
struct Volume {
  VoxelGrid grid;
  std::vector<float> values;
};
/// Reads one 3-D image (dim[4..7] absent or 1) to its verified end. Error SB2012 otherwise, SB2013 without
/// orientation.
Volume read_volume(const std::filesystem::path& path);

/// How an image is written: sform and qform with equal matrices, mm and s.
struct WriteOptions {
  int form_code = 4;               // 4 = MNI, 1 = scanner
  double repetition_time_s = 0.0;  // for 4-D
  bool as_uint8 = false;           // masks: every value an integer of 0..255; else float32
  int gzip_level = 6;              // 1 = fast .. 9 = small
};

/// Writes one .nii or .nii.gz (gzip without name and time) front to back, in pieces. Meant for use inside
/// write_atomically. A grid with shear has no qform: then qform_code is 0. Errors SB5001, SB5002.
class NiftiWriter {
 public:
  NiftiWriter(const std::filesystem::path& path, const VoxelGrid& grid, int64_t frames,
              const WriteOptions& options);
  ~NiftiWriter();
  NiftiWriter(const NiftiWriter&) = delete;
  NiftiWriter& operator=(const NiftiWriter&) = delete;
  /// The next values, x fastest, then frames; any number at a time.
  void append(std::span<const float> values);
  /// After exactly all values.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes an image that is in memory with a NiftiWriter. frames = values.size() / grid.voxels().
void write_nifti(const std::filesystem::path& path, const VoxelGrid& grid, std::span<const float> values,
                 const WriteOptions& options);

}  // namespace slim::image
