// SPDX-License-Identifier: Apache-2.0
#include "preproc/check_header.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "preproc/lattice.h"
#include "preproc/resample_time.h"
#include "preproc/text.h"

namespace slim::preproc {
namespace {

constexpr double kShortestTr_s = 0.1, kLongestTr_s = 20.0;
constexpr double kTrWarn_s = 1e-3, kTrRefuseShare = 0.05;
constexpr double kCoarseVoxel_mm = 4.5, kLargestVoxel_mm = 12.0;
constexpr double kLongEdge_mm = 120.0, kShortEdge_mm = 60.0;  // raw images: two axes and the third

std::string file_of(const image::NiftiHeader& header) { return header.path.string(); }

void check_dimensions(const image::NiftiHeader& header) {
  if (header.is_four_d) {
    if (header.grid.voxels() > std::numeric_limits<int32_t>::max()) {
      throw Error(message::kBadHeader, "A frame has more than 2^31 voxels.", {.file = file_of(header)});
    }
    return;
  }
  std::string shape;
  for (const int64_t length : header.dims) {
    shape += (shape.empty() ? "" : " x ") + std::to_string(length);
  }
  throw Error(message::kNotFourD, "Expected one 4-D series, found " + shape + ".", {.file = file_of(header)});
}

void check_length(const image::NiftiHeader& header, const HeaderFacts& facts, int64_t predicted,
                  const LengthOptions& options) {
  const int64_t left = header.frames - facts.dummy_frames;
  if (left < options.min_acquired) {
    throw Error(message::kTooShort,
                "Only " + std::to_string(std::max<int64_t>(0, left)) + " acquired volumes remain after " +
                    std::to_string(facts.dummy_frames) + " dummies; at least " +
                    std::to_string(options.min_acquired) + " are needed.",
                {.file = file_of(header)});
  }
  if (predicted < options.min_volumes) {
    throw Error(message::kTooShort,
                "Only " + std::to_string(predicted) + " volumes remain after dummies and resampling (" +
                    std::to_string(left) + " of " + std::to_string(header.frames) + " acquired); at least " +
                    std::to_string(options.min_volumes) + " are needed.",
                {.file = file_of(header)});
  }
}

void check_extent(const image::NiftiHeader& header, const HeaderFacts& facts, const GateOptions& gates,
                  std::vector<std::string>& warnings) {
  const std::array<double, 3> voxel = voxel_edges_mm(header.grid);
  std::array<double, 3> extent{};
  for (size_t a = 0; a < 3; ++a) {
    extent[a] = voxel[a] * static_cast<double>(header.grid.size[a]);
  }
  const double largest = *std::max_element(voxel.begin(), voxel.end());
  const auto refuse = [&](const std::string& sentence) {
    throw Error(message::kLowCoverage, sentence, {.file = file_of(header)});
  };
  if (*std::min_element(header.grid.size.begin(), header.grid.size.end()) < 2) {
    refuse("The image has an axis of one voxel.");
  }
  if (largest > kLargestVoxel_mm) {
    refuse("The image has voxels of " + short_number(largest, 0) + " mm; at most " +
           short_number(kLargestVoxel_mm, 0) + " mm can be used.");
  }
  const std::string slab =
      "a slab of " + short_number(*std::min_element(extent.begin(), extent.end()), 0) + " mm";
  if (facts.in_template_space) {
    const double share = brain_share_in_view(header.grid);
    if (share < gates.coverage_refuse) {
      refuse("The field of view covers " + percent(share) + " of the brain, at least " +
             percent(gates.coverage_refuse) + " are needed (" + slab + ").");
    }
  } else {
    std::array<double, 3> sorted = extent;
    std::sort(sorted.begin(), sorted.end());
    if (sorted[0] < kShortEdge_mm || sorted[1] < kLongEdge_mm) {
      refuse("The field of view is too small for a brain (" + slab + ").");
    }
  }
  if (largest > kCoarseVoxel_mm) {
    warnings.push_back("The image has voxels of " + short_number(largest, 1) +
                       " mm; results will be coarse.");
  }
}

}  // namespace

std::optional<std::string> template_family(const std::string& space) {
  if (space == "MNI152NLin6Asym" || space == "MNI152NLin6Sym" || space == "MNI") {
    return "NLin6";
  }
  constexpr std::string_view kPrefix = "MNI152NLin2009";
  if (space.starts_with(kPrefix)) {
    const std::string rest = space.substr(kPrefix.size());
    for (const char* letter : {"a", "b", "c"}) {
      if (rest == std::string(letter) + "Asym" || rest == std::string(letter) + "Sym") {
        return "NLin2009";
      }
    }
  }
  return std::nullopt;
}

double repetition_time(const image::NiftiHeader& header, const HeaderFacts& facts,
                       std::vector<std::string>& warnings) {
  const bool in_header = header.repetition_time_s.has_value() && *header.repetition_time_s > 0.0;
  std::optional<double> chosen = facts.tr_override_s;
  if (!chosen.has_value() && facts.metadata_tr_s.has_value()) {
    chosen = facts.metadata_tr_s;
    if (in_header) {
      const double difference = std::abs(*header.repetition_time_s - *chosen);
      const std::string both = "RepetitionTime is " + exact_number(*chosen) + " s in the sidecar and " +
                               exact_number(*header.repetition_time_s) + " s in the header";
      if (difference > kTrRefuseShare * *chosen) {
        throw Error(message::kTrMismatch, both + "; pass --repetition-time.", {.file = file_of(header)});
      }
      if (difference > kTrWarn_s) {
        warnings.push_back(both + "; the sidecar's is used.");
      }
    }
  }
  if (!chosen.has_value() && in_header) {
    chosen = header.repetition_time_s;
  }
  if (!chosen.has_value()) {
    throw Error(message::kNoRepetitionTime,
                "No repetition time: none in the sidecar, 0 in the header; pass --repetition-time.",
                {.file = file_of(header)});
  }
  if (!(*chosen >= kShortestTr_s && *chosen <= kLongestTr_s)) {
    throw Error(
        message::kNoRepetitionTime,
        "A repetition time of " + exact_number(*chosen) + " s is not possible; pass --repetition-time.",
        {.file = file_of(header), .expected = "0.1 to 20 s"});
  }
  return *chosen;
}

CheckedHeader check_header(const image::NiftiHeader& header, const HeaderFacts& facts,
                           const PrepOptions& options) {
  CheckedHeader checked{.warnings = header.warnings};
  check_dimensions(header);
  if (!header.has_orientation) {
    throw Error(message::kNoOrientation,
                "No orientation is stored (qform_code and sform_code are 0); left and right are unknown.",
                {.file = file_of(header)});
  }
  checked.repetition_time_s = repetition_time(header, facts, checked.warnings);
  checked.predicted_frames =
      resampled_frames(header.frames - facts.dummy_frames, checked.repetition_time_s, options.time_grid);
  check_length(header, facts, checked.predicted_frames, options.length);
  check_extent(header, facts, options.gates, checked.warnings);
  return checked;
}

}  // namespace slim::preproc
