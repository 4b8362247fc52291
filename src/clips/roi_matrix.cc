// SPDX-License-Identifier: Apache-2.0
#include "clips/roi_matrix.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/half.h"
#include "core/sha256.h"

namespace slim::clips {
namespace {

constexpr int64_t kCellEdge = 8;
constexpr int64_t kCellGrid = kSlimSize / kCellEdge;
constexpr int64_t kLeastBrainVoxels = 52;  // 10 % of a cell
constexpr size_t kMostLabels = 10'000;
constexpr double kSmallestSd = 1e-6;

void hash_numbers(Sha256& hash, const std::vector<int32_t>& numbers) {
  static_assert(std::endian::native == std::endian::little);
  hash.update(std::as_bytes(std::span(numbers)));
}

/// Cell of the storage index of a voxel, x fastest.
size_t cell_of(int64_t voxel) {
  const int64_t x = voxel % kSlimSize, y = voxel / kSlimSize % kSlimSize, z = voxel / (kSlimSize * kSlimSize);
  return static_cast<size_t>((x / kCellEdge * kCellGrid + y / kCellEdge) * kCellGrid + z / kCellEdge);
}

struct Moments {
  double mean = 0.0, variance = 0.0;
};

template <class Number>
Moments moments_of(std::span<const Number> values) {
  const auto count = static_cast<double>(values.size());
  Moments moments;
  for (const Number value : values) {
    moments.mean += static_cast<double>(value);
  }
  moments.mean /= count;
  for (const Number value : values) {
    const double centred = static_cast<double>(value) - moments.mean;
    moments.variance += centred * centred;
  }
  moments.variance /= count;
  return moments;
}

}  // namespace

RoiLabels grid_parcellation(const TokenSet& tokens) {
  const std::vector<uint8_t>& brain = packaged_brain_mask();
  std::vector<int64_t> brain_voxels(kCellGrid * kCellGrid * kCellGrid, 0);
  for (int64_t v = 0; v < kSlimVoxels; ++v) {
    brain_voxels[cell_of(v)] += brain[static_cast<size_t>(v)];
  }
  // Cells are numbered where the store first meets them; a cell's tokens are neighbours there.
  std::vector<int32_t> number(brain_voxels.size(), 0);
  int32_t count = 0;
  for (const int32_t voxel : tokens.voxel_indices()) {
    const size_t cell = cell_of(voxel);
    if (number[cell] == 0 && brain_voxels[cell] >= kLeastBrainVoxels) {
      number[cell] = ++count;
    }
  }
  std::vector<int32_t> image(static_cast<size_t>(kSlimVoxels));
  for (int64_t v = 0; v < kSlimVoxels; ++v) {
    image[static_cast<size_t>(v)] = number[cell_of(v)];
  }
  return label_parcellation("grid", image, tokens);
}

RoiLabels label_parcellation(std::string name, std::span<const int32_t> image, const TokenSet& tokens) {
  if (image.size() != static_cast<size_t>(kSlimVoxels)) {
    throw Error(message::kBadValue, "The label image " + name + " does not lie on the SLIM grid.",
                {.expected = std::to_string(kSlimVoxels) + " voxels", .found = std::to_string(image.size())});
  }
  std::map<int32_t, int64_t> voxels;
  for (const int32_t label : image) {
    if (label > 0) {
      ++voxels[label];
    }
  }
  if (voxels.empty() || voxels.size() > kMostLabels) {
    throw Error(message::kBadValue,
                "The label image " + name + " has " + std::to_string(voxels.size()) + " labels.",
                {.expected = "1 to " + std::to_string(kMostLabels)});
  }
  RoiLabels labels{.name = std::move(name)};
  std::map<int32_t, int32_t> row_of_label;
  for (const auto& [label, count] : voxels) {
    row_of_label.emplace(label, static_cast<int32_t>(labels.labels.size()));
    labels.labels.push_back(label);
    labels.image_voxels.push_back(count);
  }
  labels.stored_voxels.assign(labels.labels.size(), 0);
  for (const int32_t voxel : tokens.voxel_indices()) {
    const auto found = row_of_label.find(image[static_cast<size_t>(voxel)]);
    labels.row_of_value.push_back(found == row_of_label.end() ? -1 : found->second);
    if (found != row_of_label.end()) {
      ++labels.stored_voxels[static_cast<size_t>(found->second)];
    }
  }
  labels.sha256 = hash_of(labels);
  return labels;
}

std::string hash_of(const RoiLabels& labels) {
  Sha256 hash;
  hash_numbers(hash, labels.labels);
  hash_numbers(hash, labels.row_of_value);
  return hash.hex();
}

RoiSeries roi_series(const ClipStore& store, const RoiLabels& labels) {
  const size_t values = labels.row_of_value.size();
  if (values != static_cast<size_t>(store.frame_values())) {
    throw Error(message::kBug, "A parcellation and a clip store have other token sets.");
  }
  RoiSeries series{.rows = labels.rows(), .frames = store.n_frames()};
  const auto rows = static_cast<size_t>(series.rows), frames = static_cast<size_t>(series.frames);
  series.means.assign(rows * frames, 0.0);
  series.voxels.assign(rows, 0);
  const std::span<const uint8_t> valid = store.valid();
  std::vector<size_t> slot(values);  // values of no region go to a slot behind the rows
  for (size_t v = 0; v < values; ++v) {
    slot[v] = labels.row_of_value[v] < 0 ? rows : static_cast<size_t>(labels.row_of_value[v]);
    if (slot[v] < rows && (valid[v / 8] >> (v % 8) & 1u) != 0) {
      ++series.voxels[slot[v]];
    }
  }
  std::vector<uint16_t> halves(values);
  std::vector<float> frame(values);
  std::vector<double> sums(rows + 1);
  for (size_t t = 0; t < frames; ++t) {
    store.read_frames(static_cast<int64_t>(t), 1, halves);
    floats_from_halves(halves, frame);
    std::fill(sums.begin(), sums.end(), 0.0);
    for (size_t v = 0; v < values; ++v) {  // values outside the valid voxels are stored as 0
      sums[slot[v]] += static_cast<double>(frame[v]);
    }
    for (size_t r = 0; r < rows; ++r) {
      series.means[r * frames + t] =
          series.voxels[r] == 0 ? 0.0 : sums[r] / static_cast<double>(series.voxels[r]);
    }
  }
  return series;
}

RoiMatrix standardised(const RoiSeries& series) {
  RoiMatrix matrix{.rows = series.rows, .frames = series.frames};
  matrix.values.reserve(series.means.size());
  for (int64_t r = 0; r < series.rows; ++r) {
    const std::span<const double> row = series.row(r);
    const Moments moments = moments_of(row);
    const bool valid = series.voxels[static_cast<size_t>(r)] > 0;
    const double scale = valid ? 1.0 / (std::sqrt(moments.variance) + kSmallestSd) : 0.0;
    for (const double value : row) {
      matrix.values.push_back(static_cast<float>((value - moments.mean) * scale));
    }
    matrix.valid.push_back(valid ? 1 : 0);
  }
  return matrix;
}

RoiMatrix roi_matrix(const ClipStore& store, const RoiLabels& labels) {
  return standardised(roi_series(store, labels));
}

double window_variance(const RoiMatrix& matrix, const Window& window) {
  double sum = 0.0;
  int64_t rows = 0;
  for (int64_t r = 0; r < matrix.rows; ++r) {
    if (matrix.valid[static_cast<size_t>(r)] != 0) {
      const auto first = static_cast<size_t>(r * matrix.frames + window.first);
      sum +=
          moments_of(std::span(matrix.values).subspan(first, static_cast<size_t>(window.last - window.first)))
              .variance;
      ++rows;
    }
  }
  return rows == 0 ? 0.0 : sum / static_cast<double>(rows);
}

}  // namespace slim::clips
