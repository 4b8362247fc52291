// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "preproc/vectors.h"

namespace slim::preproc {

// Note [Spline]. Cubic B-spline interpolation: a recursive prefilter (pole sqrt(3) - 2, whole-sample mirror
// at the borders) and 64 taps, the result of SciPy's map_coordinates(order=3, mode="mirror") in single
// precision. Coefficients are kept without the filter's gain of 6 an axis; the tap weights carry it.
/// Taps for points that stay the same in every frame: computed once, applied to each.
struct SplineTaps {
  std::array<int64_t, 3> size{};  // of the frames
  std::vector<int32_t> first;     // [points] the lowest tap in the padded coefficients; -1 = not covered
  std::vector<float> weights;     // [points][12]: four along x, y, z
  size_t points() const { return first.size(); }
};

/// Taps of points in continuous voxel coordinates. Points up to half a voxel outside are moved to the border,
/// points beyond are not covered.
SplineTaps spline_taps(const std::array<int64_t, 3>& size,
                       std::span<const std::array<double, 3>> points_in_voxels);

/// The spline coefficients of one frame, with a mirrored rim; memory that is used again frame after frame.
struct SplineCoefficients {
  std::array<int64_t, 3> size{};
  std::vector<float> values;  // [size[2] + 3][size[1] + 3][size[0] + 3], x fastest
};

/// Turns a frame (x fastest, finite values) into coefficients. Error SB9001 on a wrong size.
void prefilter(std::span<const float> frame, const std::array<int64_t, 3>& size,
               SplineCoefficients& coefficients, Vectors vectors = best_vectors());

/// The value at every point; 0 where not covered, no value below `lowest`. Returns how many were raised to
/// it.
int64_t interpolate(const SplineCoefficients& coefficients, const SplineTaps& taps, float lowest,
                    std::span<float> out, Vectors vectors = best_vectors());

/// Sets to NaN every point whose 64 taps touch a voxel that is not finite in `frame`.
void mark_nonfinite(std::span<const float> frame, const SplineTaps& taps, std::span<float> out);

/// Linear interpolation of a frame at points in continuous voxel coordinates, half-a-voxel rule as above; 0
/// outside.
std::vector<float> interpolate_linear(std::span<const float> frame, const std::array<int64_t, 3>& size,
                                      std::span<const std::array<double, 3>> points_in_voxels);

}  // namespace slim::preproc
