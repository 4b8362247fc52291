// SPDX-License-Identifier: Apache-2.0
#include "preproc/prepare_mni.h"

#include <tbb/task_arena.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/slim_grid.h"
#include "core/token_set.h"
#include "preproc/check_header.h"
#include "preproc/lattice.h"
#include "preproc/pack.h"
#include "preproc/resample_time.h"
#include "preproc/run_mask.h"
#include "preproc/text.h"

namespace slim::preproc {
namespace {

const char* name_of(MaskSource source) {
  switch (source) {
    case MaskSource::kProducer:
      return "producer";
    case MaskSource::kNonzero:
      return "non-zero";
    case MaskSource::kTemplate:
      break;
  }
  return "template";
}

std::string family_of(const std::string& space) {
  const std::optional<std::string> family = template_family(space);
  if (!family.has_value()) {
    throw Error(message::kNoUsableSpace,
                "No image in a usable space: found " + (space.empty() ? "none" : space) +
                    "; needed MNI152NLin6Asym or an MNI152NLin2009 template.",
                {.remedy = "for fMRIPrep: --output-spaces MNI152NLin6Asym:res-2"});
  }
  return *family;
}

/// Values of valid voxels placed on the whole grid, 0 elsewhere.
std::vector<float> on_grid(const std::vector<double>& values, const std::vector<uint8_t>& valid) {
  std::vector<float> grid(static_cast<size_t>(kSlimVoxels), 0.0f);
  const std::vector<int32_t> at = packaged_token_set().voxel_indices();
  for (size_t v = 0; v < at.size(); ++v) {
    grid[static_cast<size_t>(at[v])] = valid[v] != 0 ? static_cast<float>(values[v]) : 0.0f;
  }
  return grid;
}

double median_of_valid(const std::vector<double>& values, const std::vector<uint8_t>& valid) {
  std::vector<double> kept;
  for (size_t v = 0; v < values.size(); ++v) {
    if (valid[v] != 0) {
      kept.push_back(values[v]);
    }
  }
  if (kept.empty()) {
    return 0.0;
  }
  const auto middle = kept.begin() + static_cast<std::ptrdiff_t>(kept.size() / 2);
  std::nth_element(kept.begin(), middle, kept.end());
  return *middle;
}

/// What a clip store says of itself (preproc's part).
std::map<std::string, std::string> store_metadata(const PreparedRun& run, const MniInput& input,
                                                  const std::string& family, double source_tr_s,
                                                  bool interpolated, const PrepOptions& options) {
  nlohmann::json steps = nlohmann::json::array({"pack 1", "run_mask 1", "gates 1"});
  const std::string in_time = time_interpolation_name(source_tr_s, options.time_grid);
  if (in_time != "none") {
    steps.push_back("resample_time 1");
  }
  steps.push_back("standardise 1");
  std::map<std::string, std::string> metadata{{"slimbrain_clips", "1"},
                                              {"grid", kSlimGridName},
                                              {"token_mask_sha256", packaged_token_set().mask_sha256},
                                              {"token_order_sha256", packaged_token_set().order_sha256},
                                              {"space", input.space},
                                              {"template_family", family},
                                              {"n_frames", std::to_string(run.bold.frames)},
                                              {"repetition_time_s", exact_number(run.bold.repetition_time_s)},
                                              {"source_repetition_time_s", exact_number(source_tr_s)},
                                              {"source_frames", std::to_string(run.qc.frames_source)},
                                              {"dummy_frames", std::to_string(input.dummy_frames)},
                                              {"first_frame_s", exact_number(run.bold.first_frame_s)},
                                              {"zscore", options.standardise.zscore},
                                              {"n_valid", std::to_string(run.qc.n_valid)},
                                              {"interpolation", interpolated ? "bspline3" : "none"},
                                              {"time_interpolation", in_time},
                                              {"demeaned", run.qc.gates.demeaned ? "true" : "false"},
                                              {"saturated", std::to_string(run.bold.saturated)},
                                              {"sdc", "none"},
                                              {"producer", input.producer},
                                              {"steps", steps.dump()}};
  if (run.bold.run.has_value()) {
    metadata["run_mean"] = exact_number(run.bold.run->mean);
    metadata["run_sd"] = exact_number(run.bold.run->sd);
  }
  return metadata;
}

void append(std::vector<std::string>& to, const std::vector<std::string>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void check_stop(const Progress& progress) {
  if (progress.stop != nullptr && progress.stop->load()) {
    throw Error(message::kStopped, "Stopped while preparing a run; the same call continues.");
  }
}

}  // namespace

uint64_t estimate_memory_bytes(const image::NiftiHeader& header, double repetition_time_s,
                               const PrepOptions& options) {
  const auto row = static_cast<uint64_t>(packaged_token_set().size() * kTokenVoxels) * sizeof(float);
  const auto frames = static_cast<uint64_t>(header.frames);
  const uint64_t resampled =
      keeps_sampling(repetition_time_s, options.time_grid)
          ? 0
          : static_cast<uint64_t>(resampled_frames(header.frames, repetition_time_s, options.time_grid));
  const auto voxels = static_cast<uint64_t>(header.grid.voxels());
  const auto slots =
      std::min<uint64_t>(8, 2 * static_cast<uint64_t>(tbb::this_task_arena::max_concurrency()));
  const uint64_t slot =
      voxels * (image::bytes_per_voxel(header) + 3 * sizeof(float));  // stored, float, coefficients
  return row * (frames + resampled) + slots * slot + (uint64_t{150} << 20);
}

PreparedRun prepare_mni(const MniInput& input, const PrepOptions& options, const Progress& progress) {
  PreparedRun run;
  const image::NiftiHeader header = image::read_header(input.bold);
  const HeaderFacts facts{.metadata_tr_s = input.metadata_tr_s,
                          .tr_override_s = input.tr_override_s,
                          .dummy_frames = input.dummy_frames,
                          .in_template_space = true};
  const CheckedHeader checked = check_header(header, facts, options);
  const std::string family = family_of(input.space);
  append(run.warnings, checked.warnings);
  if (family == "NLin2009") {
    run.warnings.push_back(
        "Images in " + input.space +
        " are placed by their affine; templates of that family differ from NLin6 by 1.6 mm on average.");
  }
  std::optional<image::Volume> mask;
  if (input.mask.has_value()) {
    mask = image::read_volume(*input.mask);
  }

  const PackPlan plan = plan_pack(header.grid);
  const std::unique_ptr<image::FrameSource> source = image::open_frames(input.bold);
  Packed packed = pack(*source, plan, input.dummy_frames, progress);
  append(run.warnings, packed.warnings);
  PackedBold bold = std::move(packed.bold);
  bold.repetition_time_s = checked.repetition_time_s;
  bold.first_frame_s =
      static_cast<double>(input.dummy_frames) * checked.repetition_time_s + input.start_time_s;

  const VoxelStatistics statistics = voxel_statistics(bold);
  const RunMask brain = run_mask(mask, bold, statistics);
  bold.valid = valid_voxels(brain, bold, statistics);
  run.qc.gates = check_gates(bold, brain, statistics, input.denoised_by_name, options.gates);
  append(run.warnings, run.qc.gates.warnings);
  check_stop(progress);

  std::vector<double> ratio(statistics.mean.size(), 0.0);
  for (size_t v = 0; v < ratio.size(); ++v) {
    ratio[v] = statistics.sd[v] > 0.0 ? statistics.mean[v] / statistics.sd[v] : 0.0;
  }
  run.mean = on_grid(statistics.mean, bold.valid);
  run.tsnr = on_grid(ratio, bold.valid);
  run.mask = brain.brain.inside;
  run.qc.tsnr_median = median_of_valid(ratio, bold.valid);
  run.qc.n_valid = std::count(bold.valid.begin(), bold.valid.end(), 1);
  run.qc.mask_source = name_of(brain.source);
  run.qc.dummies = input.dummy_frames;
  run.qc.frames_source = header.frames;
  run.qc.clamped = bold.clamped;
  run.qc.source_voxel_mm = voxel_edges_mm(header.grid);

  const bool interpolated = bold.interpolated;
  bold = resample_time(std::move(bold), options.time_grid);
  check_stop(progress);
  run.bold = standardise(std::move(bold), options.standardise);
  run.qc.frames_stored = run.bold.frames;
  run.qc.saturated = run.bold.saturated;
  if (run.bold.saturated > 0) {
    run.warnings.push_back(std::to_string(run.bold.saturated) +
                           " values lie beyond the range of float16 and were cut.");
  }
  run.metadata = store_metadata(run, input, family, checked.repetition_time_s, interpolated, options);
  return run;
}

nlohmann::json to_json(const PrepQc& qc) {
  nlohmann::json gates = nlohmann::json::object();
  for (const Gate& gate : qc.gates.gates) {
    gates[gate.name] = {{"value", gate.value}, {"verdict", preproc::name_of(gate.verdict)}};
  }
  nlohmann::json reasons = nlohmann::json::array();
  for (const Gate& gate : qc.gates.gates) {
    const bool counts = gate.name == "coverage" || gate.name == "dice" || gate.name == "centre_mm";
    if (counts && gate.verdict != Verdict::kPass) {
      reasons.push_back(gate.name);
    }
  }
  return {{"tsnr_median", qc.tsnr_median},
          {"coverage", qc.gates.coverage},
          {"mask_dice", qc.gates.mask_dice},
          {"mask_centre_mm", qc.gates.mask_centre_mm},
          {"mask_source", qc.mask_source},
          {"dummies", qc.dummies},
          {"frames_source", qc.frames_source},
          {"frames_stored", qc.frames_stored},
          {"median_mean_over_sd", qc.gates.median_mean_over_sd},
          {"spatial_cv", qc.gates.spatial_cv},
          {"high_frequency_share", qc.gates.high_frequency_share},
          {"source_voxel_mm", qc.source_voxel_mm},
          {"n_valid", qc.n_valid},
          {"clamped", qc.clamped},
          {"saturated", qc.saturated},
          {"gates", std::move(gates)},
          {"demeaned", qc.gates.demeaned},
          {"degraded", false},
          {"sdc", "none"},
          {"suggested_exclude", !reasons.empty()},
          {"reason", std::move(reasons)}};
}

}  // namespace slim::preproc
