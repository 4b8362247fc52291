// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "core/atomic_file.h"
#include "core/error.h"
#include "image/nifti_header.h"

namespace slim::image {
namespace {

constexpr size_t kBlockValues = size_t{1} << 16;
constexpr int kLevel = 6;

/// Compresses as gzip without name and time. zlib, because ISA-L's output depends on the processor.
class GzWriter {
 public:
  explicit GzWriter(OutputFile& file) : file_(file), block_(kBlockValues) {
    constexpr int kGzip = MAX_WBITS + 16;
    if (deflateInit2(&stream_, kLevel, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw Error(message::kNoMemory, "There is no memory to compress an image.");
    }
  }
  GzWriter(const GzWriter&) = delete;
  GzWriter& operator=(const GzWriter&) = delete;
  ~GzWriter() { deflateEnd(&stream_); }

  void write(std::span<const std::byte> bytes, int flush = Z_NO_FLUSH) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));  // zlib only reads it
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(block_.data());
      stream_.avail_out = static_cast<uInt>(block_.size());
      deflate(&stream_, flush);
      file_.write(std::span<const std::byte>(block_).first(block_.size() - stream_.avail_out));
    } while (stream_.avail_out == 0);
  }
  void finish() { write({}, Z_FINISH); }

 private:
  OutputFile& file_;
  std::vector<std::byte> block_;
  z_stream stream_{};
};

std::vector<std::byte> as_uint8(std::span<const float> values) {
  std::vector<std::byte> bytes(values.size());
  std::transform(values.begin(), values.end(), bytes.begin(), [](float value) {
    if (!(value >= 0.0f && value <= 255.0f && value == std::floor(value))) {
      throw Error(message::kBug, "write_nifti: a value does not fit into uint8.");
    }
    return static_cast<std::byte>(static_cast<uint8_t>(value));
  });
  return bytes;
}

/// Gives the image's bytes to `write` in blocks.
template <class Write>
void write_image(const VoxelGrid& grid, std::span<const float> values, const WriteOptions& options,
                 Write&& write) {
  const int64_t frames = static_cast<int64_t>(values.size()) / grid.voxels();
  write(std::span<const std::byte>(build_header(grid, frames, options)));
  while (!values.empty()) {
    const auto block = values.first(std::min(values.size(), kBlockValues));
    values = values.subspan(block.size());
    if (options.as_uint8) {
      write(std::span<const std::byte>(as_uint8(block)));
    } else {
      write(std::as_bytes(block));
    }
  }
}

}  // namespace

void write_nifti(const std::filesystem::path& path, const VoxelGrid& grid, std::span<const float> values,
                 const WriteOptions& options) {
  const int64_t voxels = grid.voxels();
  if (voxels <= 0 || values.empty() || static_cast<int64_t>(values.size()) % voxels != 0) {
    throw Error(message::kBug, "write_nifti: " + std::to_string(values.size()) +
                                   " values do not fill frames of " + std::to_string(voxels) + " voxels.");
  }
  OutputFile file(path);
  if (path.extension() == ".gz") {
    GzWriter compressor(file);
    write_image(grid, values, options, [&](std::span<const std::byte> bytes) { compressor.write(bytes); });
    compressor.finish();
  } else {
    write_image(grid, values, options, [&](std::span<const std::byte> bytes) { file.write(bytes); });
  }
  file.finish();
}

}  // namespace slim::image
