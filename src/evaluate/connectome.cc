// SPDX-License-Identifier: Apache-2.0
#include "evaluate/connectome.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "evaluate/dense.h"

namespace slim::evaluate {
namespace {

constexpr int64_t kVoxelsPerToken = 64;

/// Makes a row's mean 0 and its length 1; a constant row, or one that is not finite, becomes zeros.
void normalise(double* row, int64_t frames) {
  const bool constant = std::all_of(row, row + frames, [&](double value) { return value == row[0]; });
  const double mean = std::accumulate(row, row + frames, 0.0) / static_cast<double>(frames);
  double squares = 0;
  for (int64_t t = 0; t < frames; ++t) {
    row[t] -= mean;
    squares += row[t] * row[t];
  }
  const double length = std::sqrt(squares);
  const bool valid = !constant && std::isfinite(length) && length > 0;
  for (int64_t t = 0; t < frames; ++t) {
    row[t] = valid ? row[t] / length : 0;
  }
}

}  // namespace

std::vector<double> connectome_features(std::span<const double> series, int64_t rois, int64_t frames) {
  if (rois < 0 || frames < 1 || static_cast<int64_t>(series.size()) != rois * frames) {
    throw Error(message::kBug, "the time series of a connectome have a wrong length");
  }
  Matrix rows(rois, frames), r(rois, rois);
  std::copy(series.begin(), series.end(), rows.values.begin());
  for (int64_t i = 0; i < rois; ++i) {
    normalise(rows.row(i), frames);
  }
  add_gram(rows, r);
  std::vector<double> features;
  features.reserve(static_cast<size_t>(rois * std::max<int64_t>(0, rois - 1) / 2));
  for (int64_t i = 0; i < rois; ++i) {
    for (int64_t j = i + 1; j < rois; ++j) {
      features.push_back(std::atanh(std::clamp(r(i, j), -0.999999, 0.999999)));
    }
  }
  return features;
}

VoxelMean::VoxelMean(int64_t voxels, std::span<const uint8_t> valid) {
  if (voxels % kVoxelsPerToken != 0 || static_cast<int64_t>(valid.size()) * 8 != voxels) {
    throw Error(message::kBug, "the valid mask of a voxel mean has a wrong length");
  }
  for (int64_t v = 0; v < voxels; ++v) {
    valid_.push_back((valid[static_cast<size_t>(v / 8)] >> (v % 8)) & 1u);
  }
  sums_.resize(static_cast<size_t>(voxels / kVoxelsPerToken));
}

void VoxelMean::add(std::span<const float> frame) {
  if (frame.size() != valid_.size()) {
    throw Error(message::kBug, "a frame of a voxel mean has a wrong length");
  }
  for (size_t v = 0; v < frame.size(); ++v) {
    sums_[v / kVoxelsPerToken] += valid_[v] != 0 ? static_cast<double>(frame[v]) : 0;
  }
  ++frames_;
}

std::vector<double> VoxelMean::features() const {
  std::vector<double> means;
  for (size_t token = 0; token < sums_.size(); ++token) {
    const auto first = valid_.begin() + static_cast<std::ptrdiff_t>(token * kVoxelsPerToken);
    const auto n = std::accumulate(first, first + kVoxelsPerToken, int64_t{0}) * frames_;
    means.push_back(n > 0 ? sums_[token] / static_cast<double>(n) : 0);
  }
  return means;
}

}  // namespace slim::evaluate
