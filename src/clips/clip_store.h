// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "core/token_set.h"

namespace slim::clips {

/// A run packed for the model: float16 z-scores [n_frames][tokens][64] in store order, and what they mean.
/// The metadata keys are those of docs/files-on-disk.md; values are text.
struct ClipStoreContent {
  int64_t n_frames = 0;
  std::span<const uint16_t> bold;  // float16 bits, [n_frames * tokens * 64]
  std::span<const uint8_t> valid;  // bits, least significant first, [tokens * 64 / 8]
  std::map<std::string, std::string> metadata;
};

/// Writes a clip store (safetensors: bold, frame_sum, frame_sumsq, valid), one sequential write, synchronised
/// at the end. frame_sum and frame_sumsq are made here from the stored, rounded values of valid voxels; the
/// rest must be 0. Error SB9001 when sizes disagree or a value outside the valid voxels is not 0, SB5001 and
/// SB5002 from the disk.
void write_clip_store(const std::filesystem::path& path, const ClipStoreContent& content);

/// A clip store opened for reading.
class ClipStore {
 public:
  /// Error SB2020 when the file is no clip store or is broken, SB4002 when its token set is not `tokens`.
  static ClipStore open(const std::filesystem::path& path, const TokenSet& tokens = packaged_token_set());

  int64_t n_frames() const { return n_frames_; }
  int64_t frame_values() const { return frame_values_; }  // tokens * 64
  double repetition_time_s() const;
  const std::map<std::string, std::string>& metadata() const { return file_.metadata(); }
  const std::string& get(const std::string& key) const;  // Error SB2020 when absent
  std::span<const uint8_t> valid() const;
  std::span<const double> frame_sum() const;
  std::span<const double> frame_sumsq() const;
  /// Reads frames [first, first + count) as float16 bits (pread; errors come back as Error SB5002, never a
  /// signal).
  void read_frames(int64_t first, int64_t count, std::span<uint16_t> out) const;

 private:
  SafetensorsFile file_;
  std::shared_ptr<const int> descriptor_;  // for pread; closed with the last copy
  int64_t n_frames_ = 0, frame_values_ = 0;
};

// Note [Window statistics]. The sums of a store give the mean and SD of any set of frames without reading
// them: with n frames, m = sum frame_sum / (n n_valid) and s^2 = sum frame_sumsq / (n n_valid) - m^2.
struct WindowStatistics {
  double mean = 0.0, sd = 0.0;
};
/// Mean and population SD of frames [first, first + count) over valid voxels (Note [Window statistics]).
WindowStatistics window_statistics(const ClipStore& store, int64_t first, int64_t count);

}  // namespace slim::clips
