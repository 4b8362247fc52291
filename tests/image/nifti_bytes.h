// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace slim::test {

using Bytes = std::vector<std::byte>;

/// A NIfTI file as its fields, laid out here from the standard's table of offsets, without the library under
/// test.
struct NiftiBytes {
  int version = 1;
  bool big_endian = false;
  bool is_pair = false;
  std::vector<int64_t> dims{4, 3, 2};
  std::array<double, 8> pixdim{1, 2, 2, 2, 0, 0, 0, 0};
  int datatype = 16;
  int bitpix = 32;
  double slope = 1, inter = 0;
  double vox_offset = 0;  // 0: right after header and extension bytes
  int sform_code = 1, qform_code = 0;
  std::array<double, 12> sform{-2, 0, 0, 90, 0, 2, 0, -126, 0, 0, 2, -72};
  std::array<double, 6> qform{0, 0, 0, 0, 0, 0};  // b, c, d, x, y, z
  int units = 10;                                 // mm, s
  Bytes extension{};                              // between the extension flag and the voxels
  Bytes data{};

  /// The file (or the .hdr of a pair, without the voxels).
  Bytes file() const;
  size_t data_offset() const;
};

/// Values of a voxel type in either byte order.
template <class Stored>
Bytes stored(const std::vector<Stored>& values, bool big_endian);

/// One gzip member.
Bytes gzip(std::span<const std::byte> bytes, int level = 6);
Bytes operator+(Bytes first, std::span<const std::byte> second);
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
Bytes read_file(const std::filesystem::path& path);

}  // namespace slim::test
