// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "clips/clip_store.h"
#include "clips/window.h"
#include "core/token_set.h"

namespace slim::clips {

/// Which region each stored value belongs to. Only voxels of tokens count.
struct RoiLabels {
  std::string name{};                    // letters and digits, for file names
  std::vector<int32_t> labels{};         // of each row, ascending
  std::vector<int32_t> row_of_value{};   // [tokens * 64], store order; -1 = no region
  std::vector<int64_t> image_voxels{};   // voxels with the row's label in the whole image
  std::vector<int64_t> stored_voxels{};  // of these, inside tokens
  std::string sha256{};                  // hash_of: what weights belong to

  int64_t rows() const { return static_cast<int64_t>(labels.size()); }
};

/// The grid parcellation: cells of 8 x 8 x 8 voxels that hold at least 52 voxels of the packaged brain mask,
/// numbered from 1 in store order (601 with the packaged set). Its name is "grid".
RoiLabels grid_parcellation(const TokenSet& tokens = packaged_token_set());

/// Regions of a label image on the SLIM grid ([96^3], x fastest; 0 and below = background). A row for each
/// label of the image, also where it lies outside all tokens. Error SB1002 for an image of another size,
/// without labels or with more than 10,000.
RoiLabels label_parcellation(std::string name, std::span<const int32_t> image,
                             const TokenSet& tokens = packaged_token_set());

/// SHA-256 of labels and row_of_value, little-endian int32.
std::string hash_of(const RoiLabels& labels);

/// Means of a run's stored values over the valid voxels of each region.
struct RoiSeries {
  int64_t rows = 0, frames = 0;
  std::vector<double> means{};    // [rows][frames], 0 in rows without valid voxels
  std::vector<int64_t> voxels{};  // valid voxels of each row

  std::span<const double> row(int64_t r) const {
    return std::span(means).subspan(static_cast<size_t>(r * frames), static_cast<size_t>(frames));
  }
};

/// Sums in float64, in store order. Error SB9001 where labels and store have other token sets.
RoiSeries roi_series(const ClipStore& store, const RoiLabels& labels);

/// The matrix that stage 1 reads: each row minus its mean, divided by (population SD + 1e-6), over the run.
struct RoiMatrix {
  int64_t rows = 0, frames = 0;
  std::vector<float> values{};   // [rows][frames], 0 in invalid rows
  std::vector<uint8_t> valid{};  // of each row: has valid voxels
};
RoiMatrix standardised(const RoiSeries& series);
RoiMatrix roi_matrix(const ClipStore& store, const RoiLabels& labels);

/// Mean over valid rows of the population variance inside the window: the score of ranker `variance`. 0
/// without a valid row.
double window_variance(const RoiMatrix& matrix, const Window& window);

}  // namespace slim::clips
