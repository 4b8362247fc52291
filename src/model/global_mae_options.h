// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/safetensors.h"

namespace slim::model {

/// Beginning of the stage-1 network's names in a model's weights.
inline constexpr std::string_view kGlobalMaePrefix = "global_mae.";

/// The shape of the stage-1 network: tokens are patches of 32 ROIs x window_frames frames.
struct GlobalMaeOptions {
  int64_t width = 192, depth = 6, heads = 3;
  int64_t rois = 601;         // rows of the matrix
  int64_t window_frames = 5;  // L
  int64_t rois_per_token = 32;
  int64_t mlp_ratio = 4;
  double norm_eps = 1e-6;

  int64_t groups() const { return (rois + rois_per_token - 1) / rois_per_token; }
  int64_t patch() const { return rois_per_token * window_frames; }
  bool operator==(const GlobalMaeOptions&) const = default;
};

/// `base` (2,735,200 parameters with 601 ROIs) or `tiny` (122,080); another name is Error SB1002.
GlobalMaeOptions global_mae_preset(std::string_view name, int64_t rois = 601, int64_t window_frames = 5);

/// Names (with kGlobalMaePrefix) and shapes of the network's tensors, all F32, sorted by name.
std::vector<TensorSpec> global_mae_tensors(const GlobalMaeOptions& options);

}  // namespace slim::model
