// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preproc/options.h"
#include "preproc/packed_bold.h"
#include "preproc/run_mask.h"
#include "preproc/voxel_statistics.h"

namespace slim::preproc {

enum class Verdict { kPass, kWarn, kFail };
std::string name_of(Verdict verdict);  // "pass", "warn", "fail"

/// One measure of a run and what it means.
struct Gate {
  std::string name;
  double value = 0.0;
  Verdict verdict = Verdict::kPass;
};

/// Everything measured on source frames, before time resampling.
struct GateReport {
  std::vector<Gate> gates{};  // values, constant_frames, equal_frames, demeaned, flat, denoised_by_name,
                              // low_passed, coverage, dice, centre_mm
  std::vector<std::string> warnings{};
  bool demeaned = false;         // passed only because demeaned inputs are allowed
  double nonfinite_share = 0.0;  // of brain voxels inside the tokens
  int64_t equal_frames = 0;      // frames equal to the one before
  double median_mean_over_sd = 0.0;
  double spatial_cv = 0.0;
  double high_frequency_share = 0.0;
  double coverage = 0.0;  // valid share of the packaged brain
  double mask_dice = 0.0, mask_centre_mm = 0.0;
};

/// Measures a packed run whose `valid` is known and refuses unusable ones. Errors SB2015 (values), SB2016
/// (coverage), SB2008 (demeaned, unless allowed), SB2017 (does not fit the template).
GateReport check_gates(const PackedBold& bold, const RunMask& mask, const VoxelStatistics& statistics,
                       bool denoised_by_name, const GateOptions& options);

}  // namespace slim::preproc
