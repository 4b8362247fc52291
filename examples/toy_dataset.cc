// SPDX-License-Identifier: Apache-2.0
#include "examples/toy_dataset.h"

#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/version.h"
#include "examples/toy_brain.h"
#include "examples/toy_files.h"
#include "examples/toy_space.h"

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace slim::toy {
namespace {

constexpr const char* kReadme = R"(# Toy cohort

Synthetic brains with known signals, made by `make_toy_dataset` of slimbrain to try programs on; no person was scanned.
The amplitude of the left temporal network depends on `group` and `age` (participants.tsv); where asked for, patients also
lose a share of the signal around it. A bright ball at
MNI (-34, 30, 30) mm marks the left hemisphere. The whole truth lies in the cohort's `sourcedata/truth`.
)";

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
