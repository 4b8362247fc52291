// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ops/from_blob.h>

#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "generated.h"
#include "model/global_mae.h"

namespace slim::model::testing {

inline at::Tensor as_tensor(const std::vector<double>& values) {
  return at::from_blob(const_cast<double*>(values.data()), {static_cast<int64_t>(values.size())}, at::kDouble)
      .clone();
}

/// A matrix and what a piece says of it.
struct Matrix {
  std::vector<float> values;
  std::vector<uint8_t> valid;
  int64_t frames = 0;

  RoiPiece piece(int64_t first, int64_t count) const {
    return {.matrix = values, .valid_rois = valid, .matrix_frames = frames, .first = first, .frames = count};
  }
  RoiPiece whole() const { return piece(0, frames); }
};

/// Standardises rows [rois][frames] in float64.
inline Matrix standardised(const std::vector<double>& rows, int64_t rois, int64_t frames) {
  Matrix matrix{.values = {}, .valid = std::vector<uint8_t>(static_cast<size_t>(rois), 1), .frames = frames};
  for (int64_t r = 0; r < rois; ++r) {
    const auto row = std::span(rows).subspan(static_cast<size_t>(r * frames), static_cast<size_t>(frames));
    const double mean = std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(frames);
    double square = 0.0;
    for (const double value : row) {
      square += (value - mean) * (value - mean) / static_cast<double>(frames);
    }
    for (const double value : row) {
      matrix.values.push_back(static_cast<float>((value - mean) / (std::sqrt(square) + 1e-6)));
    }
  }
  return matrix;
}

inline Matrix generated_matrix(const std::string& name, int64_t rois, int64_t frames) {
  const at::Tensor values = generated(name, {rois, frames}, 1.0);
  const float* data = values.const_data_ptr<float>();
  return standardised(std::vector<double>(data, data + values.numel()), rois, frames);
}

inline GlobalMae generated_network(const GlobalMaeOptions& options, const std::string& prefix = "") {
  GlobalMae network(options);
  generate_parameters(*network, prefix + std::string(kGlobalMaePrefix));
  return network;
}

inline RoiBatch one(const GlobalMae& network, const RoiPiece& piece) {
  return make_roi_batch(network->options(), std::span(&piece, 1));
}

template <class Work>
std::string code_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return {};
}

}  // namespace slim::model::testing
