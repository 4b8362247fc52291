// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/slim_grid.h"
#include "image/nifti_io.h"
#include "preproc/packed_bold.h"
#include "tests/image/nifti_bytes.h"
#include "tests/support/run_program.h"

namespace slim::test {

/// Frames that lie in memory as float32.
class MemorySource : public image::FrameSource {
 public:
  MemorySource(const image::VoxelGrid& grid, std::vector<float> values) : values_(std::move(values)) {
    header_.grid = grid;
    header_.has_orientation = true;
    header_.frames = static_cast<int64_t>(values_.size()) / grid.voxels();
    header_.dims = {grid.size[0], grid.size[1], grid.size[2], header_.frames};
    header_.is_four_d = true;
    header_.datatype = 16;
  }
  const image::NiftiHeader& header() const override { return header_; }
  size_t frame_bytes() const override { return sizeof(float) * static_cast<size_t>(header_.grid.voxels()); }
  void next(std::span<std::byte> raw) override {
    std::memcpy(raw.data(), values_.data() + at_, raw.size());
    at_ += raw.size() / sizeof(float);
  }
  std::vector<std::string> finish() override { return {}; }
  void rewind() { at_ = 0; }

 private:
  image::NiftiHeader header_;
  std::vector<float> values_;
  size_t at_ = 0;
};

/// The code of the Error that `work` throws; empty when it throws none.
inline std::string code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return {};
}

/// The 91 x 109 x 91 MNI152NLin6Asym lattice of 2 mm, LAS.
inline image::VoxelGrid nlin6_grid() {
  return {.size = {91, 109, 91}, .scanner_from_voxel = {{{-2, 0, 0, 90}, {0, 2, 0, -126}, {0, 0, 2, -72}}}};
}

/// A value of a fixed pseudo-random sequence in [0, 1).
inline double noise_at(uint64_t index) {
  uint64_t z = index + 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return static_cast<double>((z ^ (z >> 31)) >> 40) * 0x1p-24;
}

/// Samples a function of (RAS mm, frame) on a grid, x fastest.
inline std::vector<float> sampled(const image::VoxelGrid& grid, int64_t frames,
                                  const std::function<double(const std::array<double, 3>&, int64_t)>& value) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(grid.voxels() * frames));
  for (int64_t t = 0; t < frames; ++t) {
    for (int64_t z = 0; z < grid.size[2]; ++z) {
      for (int64_t y = 0; y < grid.size[1]; ++y) {
        for (int64_t x = 0; x < grid.size[0]; ++x) {
          const std::array<double, 3> voxel{static_cast<double>(x), static_cast<double>(y),
                                            static_cast<double>(z)};
          values.push_back(static_cast<float>(value(image::apply(grid.scanner_from_voxel, voxel), t)));
        }
      }
    }
  }
  return values;
}

/// A deep copy.
inline preproc::PackedBold copy_of(const preproc::PackedBold& bold) {
  preproc::PackedBold copy;
  copy.frames = bold.frames;
  copy.frame_values = bold.frame_values;
  copy.values = preproc::FrameBuffer(bold.values.size());
  std::memcpy(copy.values.floats().data(), bold.values.floats().data(), bold.values.size());
  copy.covered = bold.covered;
  copy.valid = bold.valid;
  copy.repetition_time_s = bold.repetition_time_s;
  copy.first_frame_s = bold.first_frame_s;
  copy.interpolated = bold.interpolated;
  copy.grid_sum = bold.grid_sum;
  copy.grid_nonzero = bold.grid_nonzero;
  copy.grid_covered = bold.grid_covered;
  return copy;
}

/// BOLD and brain mask of the elastixref derivative (60 frames, 2 s, on the NLin6Asym lattice), when the data
/// are there.
struct ElastixRef {
  std::filesystem::path bold, mask;
};
inline std::optional<ElastixRef> elastixref() {
  const auto data = data_folder();
  if (!data.has_value()) {
    return std::nullopt;
  }
  const std::string stem =
      "studyforrest/derivatives/elastixref/sub-02/func/"
      "sub-02_task-oneback_run-1_space-MNI152NLin6Asym_res-02_desc-";
  return ElastixRef{.bold = *data / (stem + "preproc_bold.nii.gz"),
                    .mask = *data / (stem + "brain_mask.nii.gz")};
}

/// Runs tests/preproc/judge.py with a command; nullopt without a judges' Python.
inline std::optional<ProgramResult> judge(const std::vector<std::string>& arguments) {
  const auto python = judges_python();
  if (!python.has_value()) {
    return std::nullopt;
  }
  std::vector<std::string> all{std::string(SLIM_SOURCE_DIR) + "/tests/preproc/judge.py"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_program(*python, all);
}

template <class Value>
void write_values(const std::filesystem::path& path, const std::vector<Value>& values) {
  write_file(path, std::as_bytes(std::span(values)));
}

}  // namespace slim::test
