// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "preproc/options.h"
#include "preproc/packed_bold.h"

namespace slim::preproc {

/// Whether a run of this interval is stored as it is (within 1e-6 s of the kept range).
bool keeps_sampling(double repetition_time_s, const TimeGridOptions& options);
/// Whether the low-pass comes before the spline: the interval lies below the kept range and it is not
/// switched off.
bool needs_lowpass(double repetition_time_s, const TimeGridOptions& options);
/// Frames stored of a run of `frames` frames: floor((T-1) TR/tau + 1e-6) + 1, never beyond the last sample.
int64_t resampled_frames(int64_t frames, double repetition_time_s, const TimeGridOptions& options);
/// "none", "cubic-not-a-knot" or "cubic-not-a-knot+lowpass", as the clip store says it.
std::string time_interpolation_name(double repetition_time_s, const TimeGridOptions& options);

/// Half of the symmetric low-pass: weights of offsets 0..length, all offsets summing to 1.
std::vector<double> lowpass_weights(double repetition_time_s, double target_s);

/// Resamples time courses, [frames_in][voxels] to [frames_out][voxels], frames target_s apart from the first
/// sample on: interpolating cubic spline with not-a-knot ends, in double. `lowpass` is empty or the half
/// filter above.
void resample_courses(std::span<const float> in, int64_t frames_in, double repetition_time_s,
                      std::span<float> out, int64_t frames_out, double target_s, int64_t voxels,
                      std::span<const double> lowpass);

/// Resamples every voxel's time course to the target interval with cubic splines; a run within the kept range
/// comes back as it is.
PackedBold resample_time(PackedBold bold, const TimeGridOptions& options);

}  // namespace slim::preproc
