// SPDX-License-Identifier: Apache-2.0
#include "preproc/gates.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/slim_grid.h"
#include "core/token_set.h"
#include "preproc/text.h"

namespace slim::preproc {
namespace {

// A share of fast variance that white noise itself (1) can hardly exceed says nothing: slow sampling is not
// judged.
constexpr double kLargestFastShareJudged = 0.8;
constexpr double kSlimVoxelMl = kSlimSpacingMm * kSlimSpacingMm * kSlimSpacingMm / 1000.0;

double median(std::vector<double> values) {
  if (values.empty()) {
    return 0.0;
  }
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) {
    return *middle;
  }
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

/// Indices of valid values.
std::vector<int32_t> valid_indices(const PackedBold& bold) {
  std::vector<int32_t> indices;
  for (size_t v = 0; v < bold.valid.size(); ++v) {
    if (bold.valid[v] != 0) {
      indices.push_back(static_cast<int32_t>(v));
    }
  }
  return indices;
}

class GateRun {
 public:
  GateRun(const PackedBold& bold, const RunMask& mask, const VoxelStatistics& statistics,
          const GateOptions& options)
      : bold_(bold), mask_(mask), statistics_(statistics), options_(options), valid_(valid_indices(bold)) {}

  void values() {
    const std::vector<int32_t> at = packaged_token_set().voxel_indices();
    int64_t brain = 0, bad = 0;
    for (size_t v = 0; v < at.size(); ++v) {
      if (mask_.brain.inside[static_cast<size_t>(at[v])] != 0 && bold_.covered[v] != 0) {
        ++brain;
        bad += statistics_.finite[v] != 0 ? 0 : 1;
      }
    }
    report.nonfinite_share = brain > 0 ? static_cast<double>(bad) / static_cast<double>(brain) : 0.0;
    const std::string sentence = percent(report.nonfinite_share) + " of brain voxels hold NaN or Inf.";
    if (add("values", report.nonfinite_share, report.nonfinite_share > 0.0,
            report.nonfinite_share > options_.nonfinite_refuse, sentence)) {
      throw Error(message::kBadValues, sentence,
                  {.expected = "at most " + percent(options_.nonfinite_refuse)});
    }
  }

  void frames() {
    std::vector<uint8_t> constant(static_cast<size_t>(bold_.frames), 0), equal(constant);
    tbb::parallel_for(int64_t{0}, bold_.frames, [&](int64_t t) {
      constant[static_cast<size_t>(t)] = is_constant(t) ? 1 : 0;
      equal[static_cast<size_t>(t)] = t > 0 && !valid_.empty() && equals_previous(t) ? 1 : 0;
    });
    const auto constants = std::count(constant.begin(), constant.end(), 1);
    report.equal_frames = std::count(equal.begin(), equal.end(), 1);
    if (add("constant_frames", static_cast<double>(constants), false, constants > 0 && !valid_.empty(), "")) {
      const auto first = std::find(constant.begin(), constant.end(), 1) - constant.begin();
      throw Error(message::kBadValues,
                  "Frame " + std::to_string(first) + " is constant over the brain" +
                      (constants > 1 ? ", as are " + std::to_string(constants - 1) + " others." : "."));
    }
    const bool all = bold_.frames > 1 && report.equal_frames == bold_.frames - 1;
    if (add("equal_frames", static_cast<double>(report.equal_frames), report.equal_frames > 0, all,
            std::to_string(report.equal_frames) + " frames equal the frame before them.") ||
        no_variation()) {
      throw Error(message::kBadValues, "All frames are equal.");
    }
  }

  void coverage() {
    const std::vector<int32_t> at = packaged_token_set().voxel_indices();
    const std::vector<uint8_t>& brain = packaged_brain_mask();
    const auto voxels = std::count_if(brain.begin(), brain.end(), [](uint8_t flag) { return flag != 0; });
    int64_t covered = 0;
    for (const int32_t v : valid_) {
      covered += brain[static_cast<size_t>(at[static_cast<size_t>(v)])] != 0 ? 1 : 0;
    }
    report.coverage = static_cast<double>(covered) / static_cast<double>(voxels);
    const std::string sentence = "The image covers " + percent(report.coverage) + " of the brain.";
    if (add("coverage", report.coverage, report.coverage < options_.coverage_warn,
            report.coverage < options_.coverage_refuse, sentence)) {
      throw Error(message::kLowCoverage, "The image covers " + percent(report.coverage) +
                                             " of the brain, at least " + percent(options_.coverage_refuse) +
                                             " are needed.");
    }
  }

  void demeaned() {
    std::vector<double> ratios;
    double sum = 0.0, square = 0.0;
    for (const int32_t v : valid_) {
      const auto at = static_cast<size_t>(v);
      ratios.push_back(std::abs(statistics_.mean[at]) / statistics_.sd[at]);
      sum += statistics_.mean[at];
    }
    const auto count = static_cast<double>(valid_.size());
    for (const int32_t v : valid_) {
      const double d = statistics_.mean[static_cast<size_t>(v)] - sum / count;
      square += d * d;
    }
    report.median_mean_over_sd = median(std::move(ratios));
    report.spatial_cv = std::sqrt(square / count) / std::abs(sum / count);
    const std::string ratio = "median mean/SD " + short_number(report.median_mean_over_sd, 2);
    if (add("demeaned", report.median_mean_over_sd, report.median_mean_over_sd < options_.mean_over_sd_warn,
            report.median_mean_over_sd < options_.mean_over_sd_refuse,
            "Voxel means are small beside their variation (" + ratio +
                "); is this minimally preprocessed data?")) {
      refuse_demeaned("Voxel means were removed (" + ratio +
                      "); the model needs minimally preprocessed data.");
    }
    const std::string variation = "variation of voxel means " + short_number(report.spatial_cv, 3);
    if (add("flat", report.spatial_cv, report.spatial_cv < options_.spatial_cv_warn,
            report.spatial_cv < options_.spatial_cv_refuse,
            "The mean image is flat (" + variation + "); is this percent signal change?")) {
      refuse_demeaned("The mean image is flat (" + variation +
                      "), as after scaling to percent signal; the model needs minimally preprocessed data.");
    }
  }

  void named_denoised(bool denoised) {
    if (add("denoised_by_name", denoised ? 1.0 : 0.0, false, denoised, "")) {
      refuse_demeaned(
          "Its name or producer says that nuisance signals were removed; the model needs minimally "
          "preprocessed data.");
    }
  }

  void low_passed() {
    std::vector<double> shares;
    for (const int32_t v : valid_) {
      shares.push_back(statistics_.high_frequency[static_cast<size_t>(v)]);
    }
    report.high_frequency_share = median(std::move(shares));
    const double a = 0.2 * std::numbers::pi * bold_.repetition_time_s;
    const double limit = options_.high_frequency_factor * (1.0 - std::sin(a) / a);
    const bool judged = limit < kLargestFastShareJudged;
    add("low_passed", report.high_frequency_share, judged && report.high_frequency_share < limit, false,
        "Fast fluctuations are missing (share " + short_number(report.high_frequency_share, 2) +
            "); the data look band-pass filtered.");
  }

  void fit() {
    const GridMask brain = packaged_brain();
    const GridMask seen = mask_.source == MaskSource::kTemplate
                              ? epi_mask(bold_.grid_sum, bold_.grid_covered, brain.size, kSlimVoxelMl)
                              : mask_.brain;
    if (seen.count() == 0) {
      throw Error(message::kTemplateMismatch,
                  "No brain of a human size was found in the mean image; is its space label right?");
    }
    report.mask_dice = dice(seen, brain);
    const auto a = centre_of(seen), b = centre_of(brain);
    report.mask_centre_mm = kSlimSpacingMm * std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
    const std::string found = "mask overlap " + short_number(report.mask_dice, 2) + ", centre " +
                              short_number(report.mask_centre_mm, 0) + " mm off";
    const bool low =
        add("dice", report.mask_dice, report.mask_dice < options_.dice_warn,
            report.mask_dice < options_.dice_refuse, "The image fits the template poorly: " + found + ".");
    const bool far = add("centre_mm", report.mask_centre_mm, report.mask_centre_mm > options_.centre_warn_mm,
                         report.mask_centre_mm > options_.centre_refuse_mm,
                         "The brain lies off the template's: " + found + ".");
    if (low || far) {
      throw Error(message::kTemplateMismatch,
                  "The image does not fit the template: " + found + "; is its space label right?");
    }
  }

  GateReport report;

 private:
  /// Notes a gate; whether it failed.
  bool add(const char* name, double value, bool warn, bool fail, const std::string& sentence) {
    report.gates.push_back({name, value, fail ? Verdict::kFail : warn ? Verdict::kWarn : Verdict::kPass});
    if (warn && !fail) {
      report.warnings.push_back(sentence);
    }
    return fail;
  }

  void refuse_demeaned(const std::string& sentence) {
    if (!options_.allow_demeaned) {
      throw Error(message::kDemeaned, sentence,
                  {.remedy = "use the minimally preprocessed image, or --allow-demeaned"});
    }
    if (!report.demeaned) {
      report.warnings.push_back(sentence + " Allowed by --allow-demeaned.");
    }
    report.demeaned = true;
  }

  bool is_constant(int64_t t) const {
    const float* x = bold_.frame(t).data();
    return std::all_of(valid_.begin(), valid_.end(), [&](int32_t v) { return x[v] == x[valid_.front()]; });
  }

  bool equals_previous(int64_t t) const {
    const float* x = bold_.frame(t).data();
    const float* before = x - bold_.frame_values;
    return std::all_of(valid_.begin(), valid_.end(), [&](int32_t v) { return x[v] == before[v]; });
  }

  /// Equal frames make every voxel constant, hence none valid.
  bool no_variation() const {
    return valid_.empty() && std::none_of(statistics_.varies.begin(), statistics_.varies.end(),
                                          [](uint8_t v) { return v != 0; });
  }

  const PackedBold& bold_;
  const RunMask& mask_;
  const VoxelStatistics& statistics_;
  const GateOptions& options_;
  std::vector<int32_t> valid_;
};

}  // namespace

std::string name_of(Verdict verdict) {
  return verdict == Verdict::kPass ? "pass" : verdict == Verdict::kWarn ? "warn" : "fail";
}

GateReport check_gates(const PackedBold& bold, const RunMask& mask, const VoxelStatistics& statistics,
                       bool denoised_by_name, const GateOptions& options) {
  GateRun run(bold, mask, statistics, options);
  run.values();
  run.frames();
  run.coverage();
  run.demeaned();
  run.named_denoised(denoised_by_name);
  run.low_passed();
  run.fit();
  return std::move(run.report);
}

}  // namespace slim::preproc
