// SPDX-License-Identifier: Apache-2.0
#include "examples/toy_cohort.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/atomic_file.h"
#include "core/version.h"
#include "examples/toy_brain.h"
#include "examples/toy_run.h"
#include "image/nifti_io.h"

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace slim::toy {
namespace {

constexpr const char* kSpace = "MNI152NLin6Asym";
constexpr image::Affine kIdentity{{{1.0, 0.0, 0.0, 0.0}, {0.0, 1.0, 0.0, 0.0}, {0.0, 0.0, 1.0, 0.0}}};
constexpr std::array<double, 3> kMniLow{-90.0, -126.0, -72.0},
    kMniHigh{90.0, 90.0, 108.0};  // FSL's 91 x 109 x 91
constexpr std::array<double, 3> kT1wLow{-96.0, -134.0, -104.0}, kT1wHigh{96.0, 106.0, 112.0};
constexpr std::array<double, 3> kBoldLow{-96.0, -128.0, -86.0}, kBoldHigh{96.0, 94.0, 100.0};

constexpr const char* kReadme = R"(# Toy cohort

Synthetic brains with known signals, made by `make_toy_dataset` of slimbrain to try programs on; no person was scanned.
The amplitude of the left temporal network depends on `group` and `age` (participants.tsv); where asked for, patients also
lose a share of the signal around it. A bright ball at
MNI (-34, 30, 30) mm marks the left hemisphere. The whole truth lies in the cohort's `sourcedata/truth`.
)";

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

void write_json(const fs::path& path, const ordered_json& content) {
  write_text(path, content.dump(2) + "\n");
}

/// Writes an image as NAME.nii.gz. Noise does not compress: the quickest level makes hardly larger files,
/// four times faster.
void write_image(const fs::path& folder, const std::string& name, const image::VoxelGrid& grid,
                 const std::vector<float>& values, image::WriteOptions options) {
  options.gzip_level = 1;
  write_nifti(folder / (name + ".nii.gz"), grid, values, options);
}

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

/// A TSV that grows line by line.
class Table {
 public:
  void cell(std::string_view text) {
    text_ += separator_;
    text_ += text;
    separator_ = "\t";
  }
  void cell(double value) { cell(number(value)); }
  void end_line() {
    text_ += "\n";
    separator_ = "";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string_view separator_;
};

ordered_json generated_by(const Options& options) {
  return {{{"Name", "make_toy_dataset"},
           {"Version", std::string(kVersion)},
           {"Description", "Synthetic images, no person was scanned"},
           {"Parameters", options.science()}}};
}

Table participants_table(const std::vector<Participant>& people, bool with_truth) {
  Table table;
  for (const char* column : {"participant_id", "age", "sex", "group"}) {
    table.cell(column);
  }
  if (with_truth) {
    table.cell("planted_amplitude");
    table.cell("signal_loss");
  }
  table.end_line();
  for (const Participant& person : people) {
    table.cell(person.label);
    table.cell(person.age);
    table.cell(person.sex);
    table.cell(person.group);
    if (with_truth) {
      table.cell(person.planted);
      table.cell(person.loss);
    }
    table.end_line();
  }
  return table;
}

void write_participants(const fs::path& root, const std::vector<Participant>& people) {
  write_text(root / "participants.tsv", participants_table(people, false).text());
  write_json(
      root / "participants.json",
      {{"age", {{"Description", "Age of the invented participant"}, {"Units", "year"}}},
       {"sex",
        {{"Description", "Sex of the invented participant"}, {"Levels", {{"F", "female"}, {"M", "male"}}}}},
       {"group",
        {{"Description",
          "Decides, with age, how strongly the left temporal network oscillates, and whether signal is lost "
          "there"},
         {"Levels",
          {{"control", "plain amplitude, no loss"},
           {"patient", "amplitude times 1 + effect, the share `loss` of the signal is lost"}}}}}});
}

}  // namespace

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

void write_dataset_files(const fs::path& root, const Options& options, const std::string& type,
                         const std::vector<Participant>& people) {
  create_folder(root);
  const bool derivative = type == "derivative";
  ordered_json description{{"Name", derivative ? "Toy cohort in MNI space" : "Toy cohort"},
                           {"BIDSVersion", "1.10.0"},
                           {"DatasetType", type},
                           {"License", "CC0"},
                           {"Authors", {"The developers of slimbrain", "make_toy_dataset"}},
                           {"GeneratedBy", generated_by(options)}};
  if (derivative && options.raw()) {
    description["SourceDatasets"] = ordered_json::array({{{"URL", "../.."}}});
    description["DatasetLinks"] = {{"raw", "../.."}};
  }
  if (derivative) {  // BIDS has no rule for this file of fMRIPrep's
    write_text(root / ".bidsignore", "*_desc-confounds_timeseries.*\n");
  }
  write_json(root / "dataset_description.json", description);
  write_text(root / "README.md", kReadme);
  write_participants(root, people);
}

namespace {

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

void write_truth(const Options& options, const std::vector<Participant>& people, const fs::path& folder) {
  const image::VoxelGrid grid = box_grid(options.orientation, kMniLow, kMniHigh, 2.0);
  const Brain average = make_brain(Stream(0, "toy-average"), 0.0);
  const View seen = view(average, grid, kIdentity, Fields::Bold);
  write_image(folder, "networks", grid, std::vector<float>(seen.network.begin(), seen.network.end()),
              {.as_uint8 = true});
  Brain weak = average;
  weaken(weak, 1.0);  // what fades by half or more is the region
  const View left = view(weak, grid, kIdentity, Fields::Bold);
  std::vector<float> lost(seen.bold.size());
  for (size_t at = 0; at < lost.size(); ++at) {
    lost[at] = seen.depth_mm[at] > 0.0F && left.bold[at] <= 0.5F * seen.bold[at] ? 1.0F : 0.0F;
  }
  write_image(folder, "signal_loss", grid, lost, {.as_uint8 = true});
  ordered_json poses, networks = ordered_json::array();
  for (const Participant& person : people) {
    poses[person.label] = person.mni_from_t1w;
  }
  for (size_t i = 0; i < kNetworks.size(); ++i) {
    networks.push_back({{"label", i + 1},
                        {"name", kNetworks[i].name},
                        {"centre_mm", kNetworks[i].centre_mm},
                        {"radius_mm", kNetworks[i].radius_mm},
                        {"mirrored", kNetworks[i].mirrored},
                        {"planted", i == kPlantedNetwork}});
  }
  write_text(folder / "truth.tsv", participants_table(people, true).text());
  write_json(folder / "truth.json",
             {{"options", options.science()},
              {"networks", networks},
              {"signal_loss",
               {{"Description",
                 "Ball of the left temporal lobe where the BOLD signal of patients is lower by "
                 "the share, in every frame, as after an old bleed whose iron shortens T2*; "
                 "the share fades over the outer 4 mm; signal_loss.nii.gz: half of it and more"},
                {"centre_mm", kLossMm},
                {"radius_mm", kLossRadiusMm},
                {"share", options.loss}}},
              {"landmark_mm", kLandmarkMm},
              {"landmark_radius_mm", kLandmarkRadiusMm},
              {"mni_from_t1w", poses}});
}

}  // namespace slim::toy
