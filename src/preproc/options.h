// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace slim::preproc {

/// How runs are brought to one sampling interval.
struct TimeGridOptions {
  double repetition_time_s = 0.72;
  std::array<double, 2> keep_between_s{0.70, 0.80};
  bool antialias = true;
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("target_tr", &TimeGridOptions::repetition_time_s, "target sampling interval, s");
    visit("tr_keep", &TimeGridOptions::keep_between_s,
          "runs sampled within this range are kept as they are, s");
    visit("antialias", &TimeGridOptions::antialias, "low-pass runs sampled faster than the kept range");
  }
};

/// Over what values are standardised.
struct StandardiseOptions {
  std::string zscore = "run";
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("zscore", &StandardiseOptions::zscore, "one mean and deviation per run or per voxel: run, voxel");
  }
};

/// When an input is doubtful (warn) or unusable (refuse).
struct GateOptions {
  bool allow_demeaned = false;
  double nonfinite_refuse = 0.01;
  double mean_over_sd_warn = 15.0, mean_over_sd_refuse = 5.0;
  double spatial_cv_warn = 0.08, spatial_cv_refuse = 0.03;
  double high_frequency_factor = 1.1;
  double coverage_warn = 0.85, coverage_refuse = 0.60;
  double dice_warn = 0.85, dice_refuse = 0.70;
  double centre_warn_mm = 6.0, centre_refuse_mm = 12.0;
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("allow_demeaned", &GateOptions::allow_demeaned,
          "accept demeaned, z-scored or denoised inputs, marked as such");
    visit("nonfinite_refuse", &GateOptions::nonfinite_refuse,
          "share of brain voxels with NaN or Inf above which a run is refused");
    visit("mean_over_sd_warn", &GateOptions::mean_over_sd_warn,
          "median of abs(mean)/SD below which a run is doubtful");
    visit("mean_over_sd_refuse", &GateOptions::mean_over_sd_refuse,
          "median of abs(mean)/SD below which a run counts as demeaned");
    visit("spatial_cv_warn", &GateOptions::spatial_cv_warn,
          "variation of voxel means below which a run is doubtful");
    visit("spatial_cv_refuse", &GateOptions::spatial_cv_refuse,
          "variation of voxel means below which a run counts as percent signal");
    visit("high_frequency_factor", &GateOptions::high_frequency_factor,
          "share of fast variance, over that of data cut at 0.1 Hz, below which a run is doubtful");
    visit("coverage_warn", &GateOptions::coverage_warn, "share of the brain below which a run is doubtful");
    visit("coverage_refuse", &GateOptions::coverage_refuse,
          "share of the brain below which a run is refused");
    visit("dice_warn", &GateOptions::dice_warn,
          "overlap with the template's brain below which a run is doubtful");
    visit("dice_refuse", &GateOptions::dice_refuse,
          "overlap with the template's brain below which a run is refused");
    visit("centre_warn_mm", &GateOptions::centre_warn_mm,
          "distance of brain centres above which a run is doubtful, mm");
    visit("centre_refuse_mm", &GateOptions::centre_refuse_mm,
          "distance of brain centres above which a run is refused, mm");
  }
};

/// How long a run must be.
struct LengthOptions {
  int64_t min_volumes = 40;
  int64_t min_acquired = 10;
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("min_volumes", &LengthOptions::min_volumes,
          "volumes that must remain after dummies and resampling");
    visit("min_acquired", &LengthOptions::min_acquired, "volumes that must have been acquired");
  }
};

/// All science options of the prep stage for inputs in template space.
struct PrepOptions {
  TimeGridOptions time_grid;
  StandardiseOptions standardise;
  GateOptions gates;
  LengthOptions length;
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("time_grid", &PrepOptions::time_grid, "sampling in time");
    visit("standardise", &PrepOptions::standardise, "standardisation");
    visit("gates", &PrepOptions::gates, "limits of doubtful and unusable inputs");
    visit("length", &PrepOptions::length, "length of a run");
  }
};

/// Error SB1002 for values that no run can be prepared with; to be asked before any work.
void check_options(const PrepOptions& options);

/// How a verb reports its progress and learns that it should stop; changes no result.
struct Progress {
  std::function<void(int64_t done, int64_t total)> frames{};  // called in frame order
  const std::atomic<bool>* stop = nullptr;                    // when set: Error SB6001
};

}  // namespace slim::preproc
