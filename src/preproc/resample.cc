// SPDX-License-Identifier: Apache-2.0
#include "preproc/resample.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace slim::preproc {
namespace {

const double kPole = std::sqrt(3.0) - 2.0;
constexpr int64_t kLanes = 32;  // lines along x that are filtered together
constexpr int64_t kPadBefore = 1, kPadAfter = 2;
constexpr int64_t kPad = kPadBefore + kPadAfter;

/// Index of the whole-sample mirror image inside 0..n-1.
int64_t mirrored(int64_t index, int64_t n) {
  if (n == 1) {
    return 0;
  }
  const int64_t period = 2 * n - 2;
  const int64_t at = ((index % period) + period) % period;
  return at < n ? at : period - at;
}

/// Weights of the first samples in the first causal coefficient: exact for the mirrored signal, cut where a
/// float ends.
std::vector<float> start_weights(int64_t n) {
  std::vector<float> weights;
  const double period = std::pow(kPole, static_cast<double>(2 * n - 2));
  for (int64_t k = 0; k < n; ++k) {
    double weight = std::pow(kPole, static_cast<double>(k));
    if (k > 0 && k < n - 1) {
      weight += period * std::pow(kPole, static_cast<double>(-k));
    }
    weight /= 1.0 - period;
    if (std::abs(weight) < 1e-10) {
      break;
    }
    weights.push_back(static_cast<float>(weight));
  }
  return weights;
}

struct AxisFilter {
  std::vector<float> start;
  float pole = static_cast<float>(kPole);
  float last = static_cast<float>(kPole / (kPole * kPole - 1.0));
};

/// Filters `width` neighbouring lines of n samples each; sample k of line j is base[k * stride + j].
SLIM_INLINE void filter_lines(float* base, int64_t stride, int64_t n, int64_t width,
                              const AxisFilter& filter) {
  if (n == 1) {
    for (int64_t j = 0; j < width; ++j) {
      base[j] *= 1.0f / 6.0f;  // a constant: the taps' gain is undone
    }
    return;
  }
  const float pole = filter.pole;
  for (int64_t j = 0; j < width; ++j) {
    base[j] *= filter.start[0];
  }
  for (size_t k = 1; k < filter.start.size(); ++k) {
    const float weight = filter.start[k];
    const float* row = base + static_cast<int64_t>(k) * stride;
    for (int64_t j = 0; j < width; ++j) {
      base[j] += weight * row[j];
    }
  }
  for (int64_t k = 1; k < n; ++k) {
    float* __restrict row = base + k * stride;
    const float* __restrict before = row - stride;
    for (int64_t j = 0; j < width; ++j) {
      row[j] += pole * before[j];
    }
  }
  float* __restrict end = base + (n - 1) * stride;
  const float* __restrict before_end = end - stride;
  for (int64_t j = 0; j < width; ++j) {
    end[j] = filter.last * (end[j] + pole * before_end[j]);
  }
  for (int64_t k = n - 2; k >= 0; --k) {
    float* __restrict row = base + k * stride;
    const float* __restrict after = row + stride;
    for (int64_t j = 0; j < width; ++j) {
      row[j] = pole * (after[j] - row[j]);
    }
  }
}

/// Lines along x, kLanes at a time through a transposed block, from the frame into the padded volume with its
/// x rim.
SLIM_INLINE void filter_x(const float* frame, int64_t nx, int64_t lines, int64_t ny, float* padded,
                          const std::vector<int64_t>& mirror, const AxisFilter& filter, float* block) {
  const int64_t row_length = nx + kPad;
  for (int64_t first = 0; first < lines; first += kLanes) {
    const int64_t count = std::min(kLanes, lines - first);
    for (int64_t lane = 0; lane < count; ++lane) {
      const float* line = frame + (first + lane) * nx;
      for (int64_t x = 0; x < nx; ++x) {
        block[x * kLanes + lane] = line[x];
      }
    }
    filter_lines(block, kLanes, nx, kLanes, filter);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t y = (first + lane) % ny, z = (first + lane) / ny;
      float* row = padded + ((z + kPadBefore) * (ny + kPad) + y + kPadBefore) * row_length;
      for (int64_t x = 0; x < row_length; ++x) {
        row[x] = block[mirror[static_cast<size_t>(x)] * kLanes + lane];
      }
    }
  }
}

struct FilterJob {
  const float* frame;
  std::array<int64_t, 3> size;
  float* padded;
  float* block;
  std::array<std::vector<int64_t>, 3> mirror;  // padded index -> sample
  std::array<AxisFilter, 3> filter;
};

SLIM_INLINE void filter_all(const FilterJob& job) {
  const auto [nx, ny, nz] = job.size;
  const int64_t row = nx + kPad, plane = row * (ny + kPad);
  filter_x(job.frame, nx, ny * nz, ny, job.padded, job.mirror[0], job.filter[0], job.block);
  for (int64_t z = kPadBefore; z < nz + kPadBefore; ++z) {
    filter_lines(job.padded + z * plane + kPadBefore * row, row, ny, row, job.filter[1]);
  }
  for (int64_t y = kPadBefore; y < ny + kPadBefore; ++y) {
    filter_lines(job.padded + kPadBefore * plane + y * row, plane, nz, row, job.filter[2]);
  }
}

void filter_portable(const FilterJob& job) { filter_all(job); }
SLIM_AVX2 void filter_avx2(const FilterJob& job) { filter_all(job); }
SLIM_AVX512 void filter_avx512(const FilterJob& job) { filter_all(job); }

/// Copies the mirrored rim rows and planes once y and z are filtered.
void fill_rim(const FilterJob& job) {
  const auto [nx, ny, nz] = job.size;
  const int64_t row = nx + kPad, plane = row * (ny + kPad);
  for (int64_t z = kPadBefore; z < nz + kPadBefore; ++z) {
    for (int64_t y = 0; y < ny + kPad; ++y) {
      const int64_t source = job.mirror[1][static_cast<size_t>(y)] + kPadBefore;
      if (source != y) {
        std::copy_n(job.padded + z * plane + source * row, row, job.padded + z * plane + y * row);
      }
    }
  }
  for (int64_t z = 0; z < nz + kPad; ++z) {
    const int64_t source = job.mirror[2][static_cast<size_t>(z)] + kPadBefore;
    if (source != z) {
      std::copy_n(job.padded + source * plane, plane, job.padded + z * plane);
    }
  }
}

}  // namespace

SplineTaps spline_taps(const std::array<int64_t, 3>& size,
                       std::span<const std::array<double, 3>> points_in_voxels) {
  SplineTaps taps{.size = size, .first = {}, .weights = {}};
  taps.first.reserve(points_in_voxels.size());
  taps.weights.reserve(12 * points_in_voxels.size());
  for (const std::array<double, 3>& point : points_in_voxels) {
    std::array<int64_t, 3> corner{};
    std::array<float, 12> weights{};
    bool covered = true;
    for (size_t a = 0; a < 3 && covered; ++a) {
      const double last = static_cast<double>(size[a] - 1);
      covered = point[a] >= -0.5 && point[a] <= last + 0.5;
      if (covered) {
        const double at = std::clamp(point[a], 0.0, last);
        corner[a] = static_cast<int64_t>(std::floor(at));  // tap corner - 1, in padded coordinates
        const double t = at - std::floor(at), s = 1.0 - t;
        const double inner_left = 4.0 - 3.0 * t * t * (2.0 - t), inner_right = 4.0 - 3.0 * s * s * (2.0 - s);
        const std::array<double, 4> w{s * s * s, inner_left, inner_right, t * t * t};
        for (size_t k = 0; k < 4; ++k) {
          weights[4 * a + k] = static_cast<float>(w[k]);
        }
      }
    }
    const int64_t row = size[0] + kPad, plane = row * (size[1] + kPad);
    taps.first.push_back(covered ? static_cast<int32_t>(corner[0] + row * corner[1] + plane * corner[2])
                                 : -1);
    taps.weights.insert(taps.weights.end(), weights.begin(), weights.end());
  }
  return taps;
}

void prefilter(std::span<const float> frame, const std::array<int64_t, 3>& size,
               SplineCoefficients& coefficients, Vectors vectors) {
  if (static_cast<int64_t>(frame.size()) != size[0] * size[1] * size[2]) {
    throw Error(message::kBug, "A frame and its size differ.");
  }
  coefficients.size = size;
  coefficients.values.resize(static_cast<size_t>((size[0] + kPad) * (size[1] + kPad) * (size[2] + kPad)));
  std::vector<float> block(static_cast<size_t>(size[0] * kLanes));
  FilterJob job;
  job.frame = frame.data();
  job.size = size;
  job.padded = coefficients.values.data();
  job.block = block.data();
  for (size_t a = 0; a < 3; ++a) {
    job.filter[a].start = start_weights(size[a]);
    for (int64_t k = -kPadBefore; k < size[a] + kPadAfter; ++k) {
      job.mirror[a].push_back(mirrored(k, size[a]));
    }
  }
  switch (vectors) {
    case Vectors::kAvx512:
      filter_avx512(job);
      break;
    case Vectors::kAvx2:
      filter_avx2(job);
      break;
    case Vectors::kPortable:
      filter_portable(job);
      break;
  }
  fill_rim(job);
}

void mark_nonfinite(std::span<const float> frame, const SplineTaps& taps, std::span<float> out) {
  const auto [nx, ny, nz] = taps.size;
  const int64_t row = nx + kPad, plane = row * (ny + kPad);
  std::vector<uint8_t> bad(static_cast<size_t>(plane * (nz + kPad)));
  for (int64_t z = 0; z < nz + kPad; ++z) {
    for (int64_t y = 0; y < ny + kPad; ++y) {
      const int64_t line = nx * (mirrored(y - kPadBefore, ny) + ny * mirrored(z - kPadBefore, nz));
      for (int64_t x = 0; x < row; ++x) {
        const float value = frame[static_cast<size_t>(line + mirrored(x - kPadBefore, nx))];
        bad[static_cast<size_t>(z * plane + y * row + x)] = std::isfinite(value) ? 0 : 1;
      }
    }
  }
  for (size_t p = 0; p < taps.points(); ++p) {
    int touched = 0;
    for (int64_t tap = 0; tap < 64 && taps.first[p] >= 0; ++tap) {
      touched |= bad[static_cast<size_t>(taps.first[p] + tap % 4 + row * (tap / 4 % 4) + plane * (tap / 16))];
    }
    if (touched != 0) {
      out[p] = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

std::vector<float> interpolate_linear(std::span<const float> frame, const std::array<int64_t, 3>& size,
                                      std::span<const std::array<double, 3>> points_in_voxels) {
  std::vector<float> out;
  out.reserve(points_in_voxels.size());
  for (const std::array<double, 3>& point : points_in_voxels) {
    std::array<int64_t, 3> low{}, high{};
    std::array<double, 3> part{};
    bool covered = true;
    for (size_t a = 0; a < 3; ++a) {
      const double last = static_cast<double>(size[a] - 1);
      covered = covered && point[a] >= -0.5 && point[a] <= last + 0.5;
      const double at = std::clamp(point[a], 0.0, last);
      low[a] = static_cast<int64_t>(std::floor(at));
      high[a] = std::min(low[a] + 1, size[a] - 1);
      part[a] = at - std::floor(at);
    }
    double sum = 0.0;
    for (int corner = 0; corner < 8 && covered; ++corner) {
      double weight = 1.0;
      std::array<int64_t, 3> voxel{};
      for (size_t a = 0; a < 3; ++a) {
        const bool upper = ((corner >> a) & 1) != 0;
        weight *= upper ? part[a] : 1.0 - part[a];
        voxel[a] = upper ? high[a] : low[a];
      }
      if (weight != 0.0) {
        sum += weight * static_cast<double>(
                            frame[static_cast<size_t>(voxel[0] + size[0] * (voxel[1] + size[1] * voxel[2]))]);
      }
    }
    out.push_back(static_cast<float>(sum));
  }
  return out;
}

}  // namespace slim::preproc
