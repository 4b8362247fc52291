// SPDX-License-Identifier: Apache-2.0
#include "preproc/resample_time.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "preproc/vectors.h"

namespace slim::preproc {
namespace {

constexpr double kSamplingTolerance_s = 1e-6;
constexpr int64_t kBlock = 256;  // voxels that are solved together

/// Elimination factors c_i = 1 / (4 - c_{i-1}) of the tridiagonal system of second derivatives.
std::vector<double> elimination_factors(int64_t n) {
  std::vector<double> factors(static_cast<size_t>(n), 0.0);
  for (int64_t i = 2; i <= n - 3; ++i) {
    factors[static_cast<size_t>(i)] = 1.0 / (4.0 - factors[static_cast<size_t>(i - 1)]);
  }
  return factors;
}

struct CourseJob {
  int64_t n, width;  // samples, voxels of the block
  double* y;         // [n][kBlock] samples
  double* m;         // [n][kBlock] second derivatives times h^2
  const double* factors;
};

/// m_1 and m_{n-2} are known from not-a-knot ends; between them the system is tridiagonal.
SLIM_INLINE void second_derivatives_body(const CourseJob& job) {
  const int64_t n = job.n;
  for (int64_t i = 1; i < n - 1; ++i) {
    const double* __restrict before = job.y + (i - 1) * kBlock;
    const double* __restrict here = job.y + i * kBlock;
    const double* __restrict after = job.y + (i + 1) * kBlock;
    double* __restrict m = job.m + i * kBlock;
    for (int64_t j = 0; j < kBlock; ++j) {
      m[j] = 6.0 * (before[j] - 2.0 * here[j] + after[j]);
    }
  }
  double* first = job.m + kBlock;
  double* last = job.m + (n - 2) * kBlock;
  for (int64_t j = 0; j < kBlock; ++j) {
    first[j] /= 6.0;
  }
  for (int64_t j = 0; j < kBlock && n > 3; ++j) {
    last[j] /= 6.0;
  }
  for (int64_t i = 2; i <= n - 3; ++i) {
    double* __restrict m = job.m + i * kBlock;
    const double* __restrict before = m - kBlock;
    const double factor = job.factors[i];
    for (int64_t j = 0; j < kBlock; ++j) {
      m[j] = (m[j] - before[j]) * factor;
    }
  }
  for (int64_t i = n - 3; i >= 2; --i) {
    double* __restrict m = job.m + i * kBlock;
    const double* __restrict after = m + kBlock;
    const double factor = job.factors[i];
    for (int64_t j = 0; j < kBlock; ++j) {
      m[j] -= factor * after[j];
    }
  }
  double* __restrict head = job.m;
  double* __restrict tail = job.m + (n - 1) * kBlock;
  const double* __restrict second = job.m + kBlock * (n > 3 ? 2 : 1);
  const double* __restrict third_last = job.m + kBlock * (n > 3 ? n - 3 : 1);
  for (int64_t j = 0; j < kBlock; ++j) {
    head[j] = 2.0 * first[j] - second[j];
    tail[j] = 2.0 * last[j] - third_last[j];
  }
}

/// One output row between samples i and i + 1 at part u.
SLIM_INLINE void evaluate_body(const CourseJob& job, int64_t i, double u, float* out) {
  const double w = 1.0 - u;
  const double low = (w * w * w - w) / 6.0, high = (u * u * u - u) / 6.0;
  const double* __restrict y0 = job.y + i * kBlock;
  const double* __restrict y1 = y0 + kBlock;
  const double* __restrict m0 = job.m + i * kBlock;
  const double* __restrict m1 = m0 + kBlock;
  for (int64_t j = 0; j < job.width; ++j) {
    out[j] = static_cast<float>((w * y0[j] + u * y1[j]) + (low * m0[j] + high * m1[j]));
  }
}

void second_derivatives_portable(const CourseJob& job) { second_derivatives_body(job); }
SLIM_AVX2 void second_derivatives_avx2(const CourseJob& job) { second_derivatives_body(job); }
SLIM_AVX512 void second_derivatives_avx512(const CourseJob& job) { second_derivatives_body(job); }
void evaluate_portable(const CourseJob& job, int64_t i, double u, float* out) {
  evaluate_body(job, i, u, out);
}
SLIM_AVX2 void evaluate_avx2(const CourseJob& job, int64_t i, double u, float* out) {
  evaluate_body(job, i, u, out);
}
SLIM_AVX512 void evaluate_avx512(const CourseJob& job, int64_t i, double u, float* out) {
  evaluate_body(job, i, u, out);
}

void second_derivatives(const CourseJob& job) {
  switch (best_vectors()) {
    case Vectors::kAvx512:
      return second_derivatives_avx512(job);
    case Vectors::kAvx2:
      return second_derivatives_avx2(job);
    case Vectors::kPortable:
      return second_derivatives_portable(job);
  }
}

void evaluate(const CourseJob& job, int64_t i, double u, float* out) {
  switch (best_vectors()) {
    case Vectors::kAvx512:
      return evaluate_avx512(job, i, u, out);
    case Vectors::kAvx2:
      return evaluate_avx2(job, i, u, out);
    case Vectors::kPortable:
      return evaluate_portable(job, i, u, out);
  }
}

/// Sample k of a course continued by odd reflection at both ends.
void add_reflected(std::span<const double> y, int64_t n, int64_t k, double weight, double* row) {
  double sign = 1.0;
  const auto at = [&](int64_t i, int64_t j) { return y[static_cast<size_t>(i * kBlock + j)]; };
  std::vector<std::pair<int64_t, double>> terms;  // (sample, factor)
  while (k < 0 || k > n - 1) {
    const int64_t end = k < 0 ? 0 : n - 1;
    terms.emplace_back(end, 2.0 * sign);
    k = 2 * end - k;
    sign = -sign;
  }
  terms.emplace_back(k, sign);
  for (const auto& [sample, factor] : terms) {
    for (int64_t j = 0; j < kBlock; ++j) {
      row[j] += weight * factor * at(sample, j);
    }
  }
}

/// Replaces the samples by their low-passed version; `work` is as large as `y`.
void lowpass_block(std::vector<double>& y, std::vector<double>& work, int64_t n,
                   std::span<const double> weights) {
  std::fill(work.begin(), work.end(), 0.0);
  const auto length = static_cast<int64_t>(weights.size()) - 1;
  for (int64_t t = 0; t < n; ++t) {
    double* row = work.data() + t * kBlock;
    for (int64_t k = -length; k <= length; ++k) {
      const double weight = weights[static_cast<size_t>(std::abs(k))];
      if (n == 1 || (t + k >= 0 && t + k < n)) {
        const double* __restrict from = y.data() + std::clamp<int64_t>(t + k, 0, n - 1) * kBlock;
        for (int64_t j = 0; j < kBlock; ++j) {
          row[j] += weight * from[j];
        }
      } else {
        add_reflected(y, n, t + k, weight, row);
      }
    }
  }
  std::swap(y, work);
}

}  // namespace

bool keeps_sampling(double repetition_time_s, const TimeGridOptions& options) {
  return repetition_time_s >= options.keep_between_s[0] - kSamplingTolerance_s &&
         repetition_time_s <= options.keep_between_s[1] + kSamplingTolerance_s;
}

bool needs_lowpass(double repetition_time_s, const TimeGridOptions& options) {
  return options.antialias && !keeps_sampling(repetition_time_s, options) &&
         repetition_time_s < options.keep_between_s[0] && repetition_time_s < options.repetition_time_s;
}

int64_t resampled_frames(int64_t frames, double repetition_time_s, const TimeGridOptions& options) {
  if (frames < 1 || keeps_sampling(repetition_time_s, options)) {
    return frames;
  }
  const double span = static_cast<double>(frames - 1) * repetition_time_s / options.repetition_time_s;
  return static_cast<int64_t>(std::floor(span + 1e-6)) + 1;
}

std::string time_interpolation_name(double repetition_time_s, const TimeGridOptions& options) {
  if (keeps_sampling(repetition_time_s, options)) {
    return "none";
  }
  return needs_lowpass(repetition_time_s, options) ? "cubic-not-a-knot+lowpass" : "cubic-not-a-knot";
}

std::vector<double> lowpass_weights(double repetition_time_s, double target_s) {
  const auto length = static_cast<int64_t>(std::ceil(4.0 * target_s / repetition_time_s));
  const double cycles = 2.0 * 0.45 / target_s * repetition_time_s;  // 2 f_c TR
  std::vector<double> weights;
  double total = 0.0;
  for (int64_t k = 0; k <= length; ++k) {
    const auto at = static_cast<double>(k);
    const double x = std::numbers::pi * cycles * at;
    const double window = 0.5 + 0.5 * std::cos(std::numbers::pi * at / static_cast<double>(length + 1));
    weights.push_back((k == 0 ? 1.0 : std::sin(x) / x) * window);
    total += (k == 0 ? 1.0 : 2.0) * weights.back();
  }
  for (double& weight : weights) {
    weight /= total;
  }
  return weights;
}

void resample_courses(std::span<const float> in, int64_t frames_in, double repetition_time_s,
                      std::span<float> out, int64_t frames_out, double target_s, int64_t voxels,
                      std::span<const double> lowpass) {
  const std::vector<double> factors = elimination_factors(frames_in);
  const int64_t blocks = (voxels + kBlock - 1) / kBlock;
  tbb::parallel_for(tbb::blocked_range<int64_t>(0, blocks), [&](const tbb::blocked_range<int64_t>& range) {
    std::vector<double> y(static_cast<size_t>(frames_in * kBlock)), m(y.size());
    for (int64_t block = range.begin(); block != range.end(); ++block) {
      const int64_t first = block * kBlock;
      const int64_t width = std::min(kBlock, voxels - first);
      for (int64_t t = 0; t < frames_in; ++t) {
        const float* from = in.data() + t * voxels + first;
        std::copy_n(from, width, y.data() + t * kBlock);
      }
      if (!lowpass.empty()) {
        lowpass_block(y, m, frames_in, lowpass);
        std::fill(m.begin(), m.end(), 0.0);
      }
      const CourseJob job{
          .n = frames_in, .width = width, .y = y.data(), .m = m.data(), .factors = factors.data()};
      if (frames_in > 2) {
        second_derivatives(job);
      } else {
        std::fill(m.begin(), m.end(), 0.0);  // two samples: a line
      }
      for (int64_t t = 0; t < frames_out; ++t) {
        float* to = out.data() + t * voxels + first;
        if (frames_in == 1) {
          std::copy_n(in.data() + first, width, to);
          continue;
        }
        const double position = static_cast<double>(t) * target_s / repetition_time_s;
        const int64_t i = std::min(static_cast<int64_t>(std::floor(position)), frames_in - 2);
        evaluate(job, i, position - static_cast<double>(i), to);
      }
    }
  });
}

PackedBold resample_time(PackedBold bold, const TimeGridOptions& options) {
  if (keeps_sampling(bold.repetition_time_s, options)) {
    return bold;
  }
  const int64_t frames_out = resampled_frames(bold.frames, bold.repetition_time_s, options);
  std::vector<double> lowpass;
  if (needs_lowpass(bold.repetition_time_s, options)) {
    lowpass = lowpass_weights(bold.repetition_time_s, options.repetition_time_s);
  }
  FrameBuffer values(static_cast<size_t>(frames_out * bold.frame_values) * sizeof(float));
  resample_courses(bold.values.floats(), bold.frames, bold.repetition_time_s, values.floats(), frames_out,
                   options.repetition_time_s, bold.frame_values, lowpass);
  bold.values = std::move(values);
  bold.frames = frames_out;
  bold.repetition_time_s = options.repetition_time_s;
  return bold;
}

}  // namespace slim::preproc
