// SPDX-License-Identifier: Apache-2.0
#include "examples/toy_cohort.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "examples/toy_brain.h"
#include "examples/toy_files.h"
#include "examples/toy_run.h"
#include "examples/toy_space.h"

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace slim::toy {

ordered_json Options::science() const {
  return {{"subjects", subjects},
          {"sessions", sessions},
          {"frames", frames},
          {"dummies", dummies},
          {"tr", tr_s},
          {"voxel_mm", voxel_mm},
          {"raw_voxel_mm", raw_voxel_mm},
          {"t1w_voxel_mm", t1w_voxel_mm},
          {"noise", noise},
          {"motion_mm", motion_mm},
          {"effect", effect},
          {"age_effect", age_effect},
          {"variation", variation},
          {"loss", loss},
          {"seed", seed},
          {"orientation", orientation},
          {"form", form},
          {"task", task}};
}

Participant make_participant(const Options& options, int64_t index) {
  Participant person;
  person.index = static_cast<uint64_t>(index);
  const std::string number = std::to_string(index + 1);
  person.label = "sub-" + std::string(number.size() < 2 ? 2 - number.size() : 0, '0') + number;
  Stream random(options.seed, "toy-participant", 0, person.index);
  person.group = index % 2 == 0 ? "control" : "patient";
  person.sex = random.uniform() < 0.5 ? "F" : "M";
  person.age = 20 + static_cast<int>(random.bounded(51));
  person.planted = std::max(0.0, (1.0 + (person.group == "patient" ? options.effect : 0.0)) *
                                     (1.0 + options.age_effect * (person.age - 45) / 25.0));
  person.loss = person.group == "patient" ? options.loss : 0.0;
  const auto around = [&](double width) { return width * (2.0 * random.uniform() - 1.0); };
  person.mni_from_t1w = similarity({around(0.1), around(0.05), around(0.05)}, 1.0 + around(0.05),
                                   {around(4.0), around(6.0), around(6.0)});
  return person;
}

namespace {

constexpr const char* kSpace = "MNI152NLin6Asym";
constexpr std::array<double, 3> kT1wLow{-96.0, -134.0, -104.0}, kT1wHigh{96.0, 106.0, 112.0};
constexpr std::array<double, 3> kBoldLow{-96.0, -128.0, -86.0}, kBoldHigh{96.0, 94.0, 100.0};

/// A scan of a participant and the pieces of its files' names. Names are spelt out here, not built by the
/// library that reads them: what one misspells the other must find.
struct Run {
  const Participant* person = nullptr;
  uint64_t session = 0;  // 0: the dataset has no sessions
  std::string stem(const std::string& separator) const {
    return person->label +
           (session == 0 ? "" : separator + "ses-" + (session < 10 ? "0" : "") + std::to_string(session));
  }
  fs::path folder(const char* datatype) const { return fs::path(stem("/")) / datatype; }
  std::string name(const std::string& rest) const { return stem("_") + "_" + rest; }
};

/// Mean of a frame over the mask, and root mean square of its change since the frame before (if there is
/// one).
std::array<double, 2> mean_and_change(const std::vector<float>& series, size_t frame,
                                      const std::vector<float>& mask) {
  const float* const now = series.data() + frame * mask.size();
  double sum = 0.0, squares = 0.0, count = 0.0;
  for (size_t at = 0; at < mask.size(); ++at) {
    if (mask[at] != 0.0F) {
      const auto value = static_cast<double>(now[at]);
      const double step =
          frame == 0 ? 0.0 : value - static_cast<double>(series[(frame - 1) * mask.size() + at]);
      sum += value;
      squares += step * step;
      count += 1.0;
    }
  }
  return {sum / count, std::sqrt(squares / count)};
}

/// Confounds of a series under fMRIPrep's names; mask tells the brain's voxels.
void write_confounds(const fs::path& folder, const std::string& stem, const Scan& scan,
                     const std::vector<float>& series, const std::vector<float>& mask) {
  const std::vector<double> moved = framewise_displacement(scan.poses);
  Table table;
  for (const char* column : {"global_signal", "dvars", "framewise_displacement", "trans_x", "trans_y",
                             "trans_z", "rot_x", "rot_y", "rot_z"}) {
    table.cell(column);
  }
  for (int64_t dummy = 0; dummy < scan.dummy_frames; ++dummy) {
    table.cell((dummy < 10 ? "non_steady_state_outlier0" : "non_steady_state_outlier") +
               std::to_string(dummy));
  }
  table.end_line();
  for (size_t frame = 0; frame < scan.poses.size(); ++frame) {
    const auto [mean, change] = mean_and_change(series, frame, mask);
    table.cell(mean);
    table.cell(frame == 0 ? "n/a" : number(change));
    table.cell(frame == 0 ? "n/a" : number(moved[frame]));
    for (const std::array<double, 3>& three : {scan.poses[frame].shift_mm, scan.poses[frame].angles}) {
      for (const double value : three) {
        table.cell(value);
      }
    }
    for (int64_t dummy = 0; dummy < scan.dummy_frames; ++dummy) {
      table.cell(static_cast<int64_t>(frame) == dummy ? "1" : "0");
    }
    table.end_line();
  }
  write_text(folder / (stem + ".tsv"), table.text());
  write_json(
      folder / (stem + ".json"),
      {{"global_signal", {{"Description", "Mean over the brain mask"}}},
       {"dvars", {{"Description", "Root mean square over the brain mask of the change between frames"}}},
       {"framewise_displacement", {{"Description", "As Power 2012"}, {"Units", "mm"}}}});
}

ordered_json bold_sidecar(const Options& options) {
  return {{"TaskName", options.task},
          {"TaskDescription", "None: an invented brain at rest, whose visual network sees blocks of 20 s"},
          {"RepetitionTime", options.tr_s},
          {"EchoTime", 0.03},
          {"FlipAngle", 75}};
}

void write_t1w(const Options& options, const Run& run, const Brain& brain, const fs::path& root) {
  const fs::path folder = root / run.folder("anat");
  create_folder(folder);
  const image::VoxelGrid grid = box_grid(options.orientation, kT1wLow, kT1wHigh, options.t1w_voxel_mm);
  std::vector<float> values = view(brain, grid, run.person->mni_from_t1w, Fields::T1w).t1w;
  const Stream noise(options.seed, "toy-t1w-noise", run.session, run.person->index);
  for (size_t at = 0; at < values.size(); ++at) {
    const double random = 0.03 * (static_cast<double>(noise.word(at) >> 40) * 0x1p-24 - 0.5);
    values[at] =
        static_cast<float>(std::nearbyint(800.0 * std::abs(static_cast<double>(values[at]) + random)));
  }
  write_image(folder, run.name("T1w"), grid, values, {.form_code = 1});
  write_json(folder / run.name("T1w.json"),
             {{"SkullStripped", false}, {"EchoTime", 0.003}, {"FlipAngle", 9}});
}

void write_raw_bold(const Options& options, const Run& run, const Brain& brain, Scan scan,
                    const fs::path& root) {
  Stream random(options.seed, "toy-table", run.session,
                run.person->index);  // the head moved between the scans
  const auto around = [&](double width) { return width * (2.0 * random.uniform() - 1.0); };
  const image::Affine t1w_from_bold =
      similarity({around(0.02), around(0.02), around(0.02)}, 1.0, {around(2.0), around(2.0), around(2.0)});
  const image::VoxelGrid grid = box_grid(options.orientation, kBoldLow, kBoldHigh, options.raw_voxel_mm);
  const fs::path folder = root / run.folder("func");
  create_folder(folder);
  scan.noisy_air = true;
  const std::vector<float> series =
      acquire(brain, grid, image::compose(run.person->mni_from_t1w, t1w_from_bold), scan,
              Stream(options.seed, "toy-raw-noise", run.session, run.person->index));
  const std::string stem = run.name("task-" + options.task + "_bold");
  write_image(folder, stem, grid, series, {.form_code = 1, .repetition_time_s = options.tr_s});
  write_json(folder / (stem + ".json"), bold_sidecar(options));
}

void write_mni_bold(const Options& options, const Run& run, const Brain& brain, Scan scan,
                    const fs::path& root) {
  const image::VoxelGrid grid = box_grid(options.orientation, kMniLow, kMniHigh, options.voxel_mm);
  const std::vector<Pose> poses = std::move(scan.poses);
  scan.poses.clear();  // motion is corrected here; its traces stay in the confounds
  const std::vector<float> series = acquire(
      brain, grid, kIdentity, scan, Stream(options.seed, "toy-mni-noise", run.session, run.person->index));
  scan.poses = poses;
  std::vector<float> mask = view(brain, grid, kIdentity, Fields::Bold).depth_mm;
  std::transform(mask.begin(), mask.end(), mask.begin(),
                 [](float depth) { return depth > 0.0F ? 1.0F : 0.0F; });
  const fs::path folder = root / run.folder("func");
  create_folder(folder);
  const std::string task = "task-" + options.task;
  const bool whole = options.voxel_mm == std::floor(options.voxel_mm);
  const std::string resolution = whole ? "_res-" + number(options.voxel_mm) : "_res-toy";
  const std::string place = task + "_space-" + kSpace + resolution;
  ordered_json about{{"SpatialReference", std::string("tpl-") + kSpace},
                     {"Resolution", number(options.voxel_mm) + " mm isotropic"}};
  if (options.raw()) {
    about["Sources"] = {"bids:raw:" + (run.folder("func") / run.name(task + "_bold.nii.gz")).string()};
  }
  ordered_json sidecar = bold_sidecar(options);
  sidecar.update(about);
  sidecar["SkullStripped"] = false;
  about["Type"] = "Brain";
  write_image(folder, run.name(place + "_desc-brain_mask"), grid, mask, {.as_uint8 = true});
  write_json(folder / run.name(place + "_desc-brain_mask.json"), about);
  write_confounds(folder, run.name(task + "_desc-confounds_timeseries"), scan, series, mask);
  write_image(folder, run.name(place + "_desc-preproc_bold"), grid, series,
              {.repetition_time_s = options.tr_s});
  write_json(folder / run.name(place + "_desc-preproc_bold.json"), sidecar);
}

void write_courses(const fs::path& path, const std::vector<Activity>& activity) {
  Table table;
  table.cell("common");
  for (const Network& network : kNetworks) {
    table.cell(network.name);
  }
  table.end_line();
  for (const Activity& frame : activity) {
    table.cell(frame.common);
    for (const double value : frame.network) {
      table.cell(value);
    }
    table.end_line();
  }
  write_text(path, table.text());
}

}  // namespace

void write_participant(const Options& options, const Participant& person, const fs::path& root) {
  Brain brain = make_brain(Stream(options.seed, "toy-brain", 0, person.index), options.variation);
  if (person.loss > 0.0) {
    weaken(brain, person.loss);
  }
  const fs::path derivative = options.raw() ? root / "derivatives" / "toyprep" : root;
  const uint64_t first = options.sessions == 0 ? 0 : 1;
  for (uint64_t session = first;
       session < first + static_cast<uint64_t>(std::max<int64_t>(1, options.sessions)); ++session) {
    const Run run{&person, session};
    Scan scan;
    scan.noise = options.noise;
    scan.dummy_frames = options.dummies;
    scan.activity = oscillate(Stream(options.seed, "toy-activity", session, person.index), options.frames,
                              options.tr_s, person.planted);
    scan.poses =
        wander(Stream(options.seed, "toy-motion", session, person.index), options.frames, options.motion_mm);
    write_courses(root / "sourcedata" / "truth" / run.name("task-" + options.task + "_networks.tsv"),
                  scan.activity);
    if (options.raw()) {
      if (session == first) {
        write_t1w(options, run, brain, root);
      }
      write_raw_bold(options, run, brain, scan, root);
    }
    if (options.mni()) {
      write_mni_bold(options, run, brain, scan, derivative);
    }
    std::fprintf(stderr, "%s: done\n", run.stem(" ").c_str());
  }
}

}  // namespace slim::toy
