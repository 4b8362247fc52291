// SPDX-License-Identifier: Apache-2.0
#include "image/nifti_io.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/error.h"
#include "image/gz_stream.h"
#include "image/input_file.h"

namespace fs = std::filesystem;

namespace slim::image {
namespace {

constexpr size_t kInputBlockBytes = size_t{1} << 20;
constexpr size_t kHeaderBlockBytes = size_t{1} << 14;
// Deflate's best: 258 bytes for 2 bits. What cannot fit needs no memory and no reading to be refused.
constexpr uint64_t kLargestRatio = 1032;

[[noreturn]] void fail_short(const InputFile& file, uint64_t reached, uint64_t expected) {
  throw Error(
      message::kTruncated,
      "The image ends early, at byte " + std::to_string(reached) + " of " + std::to_string(expected) + ".",
      {.file = file.path().string(),
       .expected = std::to_string(expected) + " bytes",
       .found = std::to_string(reached) + " bytes",
       .remedy = "copy the file again"});
}

std::string more_than_said(uint64_t bytes) {
  return std::to_string(bytes) + " bytes follow the last voxel that the header names; they are ignored.";
}

/// What both back ends know: the header, and how far the frames go.
class FileFrames : public FrameSource {
 public:
  FileFrames(std::unique_ptr<InputFile> file, NiftiHeader header)
      : file_(std::move(file)),
        header_(std::move(header)),
        frame_bytes_(static_cast<size_t>(header_.grid.voxels()) * bytes_per_voxel(header_)),
        end_(header_.data_offset + frame_bytes_ * static_cast<uint64_t>(header_.volumes())) {
    file_->expect_sequential();
  }
  const NiftiHeader& header() const override { return header_; }
  size_t frame_bytes() const override { return frame_bytes_; }

 protected:
  void check_request(size_t bytes) {
    if (bytes != frame_bytes_ || taken_ == header_.volumes()) {
      throw Error(message::kBug, "FrameSource: a frame was asked for that does not exist.");
    }
    ++taken_;
  }
  void check_finished() const {
    if (taken_ != header_.volumes()) {
      throw Error(message::kBug, "FrameSource: finished before the last frame.");
    }
  }

  std::unique_ptr<InputFile> file_;
  NiftiHeader header_;
  size_t frame_bytes_;
  uint64_t end_;  // of the last frame, in the inflated stream
  int64_t taken_ = 0;
};

class PlainFrames : public FileFrames {
 public:
  PlainFrames(std::unique_ptr<InputFile> file, NiftiHeader header)
      : FileFrames(std::move(file), std::move(header)), position_(header_.data_offset) {
    if (file_->size() < end_) {
      fail_short(*file_, file_->size(), end_);
    }
  }

  void next(std::span<std::byte> raw) override {
    check_request(raw.size());
    const size_t count = file_->read_at(position_, raw);
    position_ += count;
    if (count < raw.size()) {
      fail_short(*file_, position_, end_);
    }
  }

  std::vector<std::string> finish() override {
    check_finished();
    bool has_content = false;
    std::array<std::byte, 65536> block;
    while (const size_t count = has_content ? 0 : file_->read_at(position_, block)) {
      position_ += count;
      has_content = std::any_of(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(count),
                                [](std::byte b) { return b != std::byte{0}; });
    }
    return has_content ? std::vector{more_than_said(file_->size() - end_)} : std::vector<std::string>{};
  }

 private:
  uint64_t position_;
};

class GzFrames : public FileFrames {
 public:
  GzFrames(std::unique_ptr<InputFile> file, NiftiHeader header)
      : FileFrames(std::move(file), std::move(header)), stream_(*file_, kInputBlockBytes) {
    if (file_->size() < end_ / kLargestRatio) {
      // The stream is short of the header's promise; how short is known after reading it.
      stream_.skip(end_);
      fail_short(*file_, stream_.position(), end_);
    }
  }

  void next(std::span<std::byte> raw) override {
    check_request(raw.size());
    if (stream_.position() < header_.data_offset) {
      stream_.skip(header_.data_offset - stream_.position());
    }
    if (stream_.read(raw) < raw.size()) {
      fail_short(*file_, stream_.position(), end_);
    }
  }

  std::vector<std::string> finish() override {
    check_finished();
    const GzStream::Rest rest = stream_.drain();
    std::vector<std::string> warnings = stream_.warnings();
    if (rest.has_content) {
      warnings.push_back(more_than_said(rest.bytes));
    }
    return warnings;
  }

 private:
  GzStream stream_;
};

/// "a.img.gz" with (".img", ".hdr") gives "a.hdr.gz"; other names stay.
fs::path with_ending(const fs::path& path, std::string_view from, std::string_view to) {
  std::string name = path.filename().string();
  const std::string_view gz = name.ends_with(".gz") ? ".gz" : "";
  const size_t end = name.size() - gz.size();
  if (end >= from.size() && std::string_view(name).substr(end - from.size(), from.size()) == from) {
    name.replace(end - from.size(), from.size(), to);
    return path.parent_path() / name;
  }
  return path;
}

NiftiHeader header_of(const InputFile& file, const fs::path& path) {
  std::array<std::byte, kHeaderBytes> start{};
  const size_t count = is_gzip(file) ? GzStream(file, kHeaderBlockBytes).read(start) : file.read_at(0, start);
  NiftiHeader header = parse_header(std::span(start).first(count), path);
  if (header.is_pair != (with_ending(file.path(), ".hdr", ".img") != file.path())) {
    throw Error(message::kBadHeader,
                header.is_pair
                    ? "The header cannot be used: its voxels lie in another file, whose name is unknown."
                    : "The header cannot be used: it is one of a single file, but the file is one of a pair.",
                {.file = path.string(), .expected = "name.nii, name.nii.gz, or name.hdr beside name.img"});
  }
  return header;
}

}  // namespace

int64_t NiftiHeader::volumes() const {
  int64_t product = 1;
  for (size_t axis = 3; axis < dims.size(); ++axis) {
    product *= dims[axis];
  }
  return product;
}

std::string NiftiHeader::shape() const {
  std::string text;
  for (const int64_t dim : dims) {
    text += (text.empty() ? "" : " x ") + std::to_string(dim);
  }
  return text;
}

NiftiHeader read_header(const fs::path& path) {
  const InputFile file(with_ending(path, ".img", ".hdr"));
  return header_of(file, path);
}

std::unique_ptr<FrameSource> open_frames(const fs::path& path) {
  auto file = std::make_unique<InputFile>(with_ending(path, ".img", ".hdr"));
  NiftiHeader header = header_of(*file, path);
  if (header.is_pair) {
    file = std::make_unique<InputFile>(with_ending(file->path(), ".hdr", ".img"));
  }
  if (is_gzip(*file)) {
    return std::make_unique<GzFrames>(std::move(file), std::move(header));
  }
  return std::make_unique<PlainFrames>(std::move(file), std::move(header));
}

Volume read_volume(const fs::path& path) {
  const std::unique_ptr<FrameSource> source = open_frames(path);
  const NiftiHeader& header = source->header();
  if (header.volumes() != 1) {
    throw Error(message::kNotFourD, "Expected one 3-D image, found " + header.shape() + ".",
                {.file = path.string()});
  }
  if (!header.has_orientation) {
    throw Error(message::kNoOrientation,
                "No orientation is stored (qform_code and sform_code are 0); left and right are unknown.",
                {.file = path.string()});
  }
  std::vector<std::byte> raw(source->frame_bytes());
  source->next(raw);
  source->finish();
  Volume volume{.grid = header.grid, .values = std::vector<float>(static_cast<size_t>(header.grid.voxels()))};
  convert_voxels(header, raw, volume.values);
  return volume;
}

}  // namespace slim::image
