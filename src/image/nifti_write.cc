// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "core/atomic_file.h"
#include "core/error.h"
#include "image/nifti_header.h"

namespace slim::image {
namespace {

constexpr size_t kBlockValues = size_t{1} << 16;

/// Compresses as gzip without name and time. zlib, because ISA-L's output depends on the processor.
class GzWriter {
 public:
  GzWriter(OutputFile& file, int level) : file_(file), block_(kBlockValues) {
    constexpr int kGzip = MAX_WBITS + 16;
    if (deflateInit2(&stream_, level, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
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

}  // namespace

struct NiftiWriter::State {
  State(const std::filesystem::path& path, const WriteOptions& options_, int64_t values)
      : options(options_), values_left(values), file(path) {
    if (path.extension() == ".gz") {
      compressor.emplace(file, options.gzip_level);
    }
  }
  void write(std::span<const std::byte> bytes) { compressor ? compressor->write(bytes) : file.write(bytes); }

  WriteOptions options;
  int64_t values_left;
  OutputFile file;
  std::optional<GzWriter> compressor{};
};

NiftiWriter::NiftiWriter(const std::filesystem::path& path, const VoxelGrid& grid, int64_t frames,
                         const WriteOptions& options) {
  if (grid.voxels() <= 0 || frames <= 0 || !is_invertible(grid.scanner_from_voxel)) {
    throw Error(message::kBug, "NiftiWriter: an image without voxels, frames or a usable affine.");
  }
  state_ = std::make_unique<State>(path, options, grid.voxels() * frames);
  state_->write(build_header(grid, frames, options));
}

NiftiWriter::~NiftiWriter() = default;

void NiftiWriter::append(std::span<const float> values) {
  state_->values_left -= static_cast<int64_t>(values.size());
  while (!values.empty()) {
    const auto block = values.first(std::min(values.size(), kBlockValues));
    values = values.subspan(block.size());
    if (state_->options.as_uint8) {
      state_->write(as_uint8(block));
    } else {
      state_->write(std::as_bytes(block));
    }
  }
}

void NiftiWriter::finish() {
  if (state_->values_left != 0) {
    throw Error(message::kBug,
                "NiftiWriter: " + std::to_string(state_->values_left) + " values are missing.");
  }
  if (state_->compressor) {
    state_->compressor->finish();
  }
  state_->file.finish();
}

void write_nifti(const std::filesystem::path& path, const VoxelGrid& grid, std::span<const float> values,
                 const WriteOptions& options) {
  const int64_t voxels = grid.voxels(), count = static_cast<int64_t>(values.size());
  if (voxels <= 0 || count == 0 || count % voxels != 0) {
    throw Error(message::kBug, "write_nifti: " + std::to_string(count) + " values do not fill frames of " +
                                   std::to_string(voxels) + " voxels.");
  }
  NiftiWriter writer(path, grid, count / voxels, options);
  writer.append(values);
  writer.finish();
}

}  // namespace slim::image
