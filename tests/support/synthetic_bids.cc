// SPDX-License-Identifier: Apache-2.0
#include "tests/support/synthetic_bids.h"

#include <nlohmann/json.hpp>

#include "bids/bids_name.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;
using bids::BidsName;
using nlohmann::json;

void write_json(const fs::path& path, const json& content) { write_file(path, content.dump(2) + "\n"); }

std::vector<std::string> or_none(const std::vector<std::string>& labels) {
  return labels.empty() ? std::vector<std::string>{""} : labels;
}

BidsName with_label(const BidsName& name, std::string_view key, const std::string& label) {
  return label.empty() ? name : name.with(key, label);
}

/// "acq-mb_dir-AP" adds two entities.
BidsName with_variant(BidsName name, std::string_view variant) {
  while (!variant.empty()) {
    const size_t end = std::min(variant.find('_'), variant.size());
    const std::string_view part = variant.substr(0, end);
    name = name.with(part.substr(0, part.find('-')), part.substr(part.find('-') + 1));
    variant.remove_prefix(std::min(end + 1, variant.size()));
  }
  return name;
}

BidsName base_name(const std::string& participant, const std::string& session) {
  const BidsName name{.entities = {{"sub", participant}}, .suffix = "bold", .extension = ".nii.gz"};
  return with_label(name, "ses", session);
}

fs::path folder_of(const fs::path& root, const BidsName& name, std::string_view datatype) {
  fs::path folder = root / ("sub-" + *name.get("sub"));
  if (const std::string* session = name.get("ses")) folder /= "ses-" + *session;
  return folder / datatype;
}

json bold_sidecar(const SyntheticRaw& options, const BidsName& name) {
  json sidecar{
      {"TaskName", *name.get("task")},   {"EchoTime", 0.03},           {"FlipAngle", 77},
      {"Manufacturer", "Siemens"},       {"MagneticFieldStrength", 3}, {"PhaseEncodingDirection", "j-"},
      {"EffectiveEchoSpacing", 0.00058}, {"TotalReadoutTime", 0.0365}, {"SliceTiming", json::array()}};
  const double step = options.bold.repetition_time_s / options.bold.size[2];
  for (int slice = 0; slice < options.bold.size[2]; ++slice) sidecar["SliceTiming"].push_back(slice * step);
  if (!options.volume_timing) {
    sidecar["RepetitionTime"] = options.bold.repetition_time_s;
  } else {
    for (int i = 0; i < options.bold.frames; ++i) {
      sidecar["VolumeTiming"].push_back(i * options.bold.repetition_time_s);
    }
    sidecar["FrameAcquisitionDuration"] = options.bold.repetition_time_s;
  }
  if (const std::string* echo = name.get("echo")) sidecar["EchoTime"] = 0.012 * std::stod(*echo);
  return sidecar;
}

/// What differs from the root's sidecar when both are there.
json local_sidecar(const BidsName& name) {
  json sidecar{{"FlipAngle", 60}, {"SeriesDescription", name.build()}};
  if (const std::string* echo = name.get("echo")) sidecar["EchoTime"] = 0.012 * std::stod(*echo);
  return sidecar;
}

void write_run(const fs::path& root, const SyntheticRaw& options, const BidsName& name) {
  const fs::path folder = folder_of(root, name, "func");
  write_image(folder / name.build(), options.bold);
  const fs::path sidecar = folder / name.with_extension(".json").build();
  if (options.sidecars == Sidecars::PerFile) write_json(sidecar, bold_sidecar(options, name));
  if (options.sidecars == Sidecars::Mixed) write_json(sidecar, local_sidecar(name));
  if (options.events) {
    write_file(
        folder / name.without("echo").without("part").with_suffix("events").with_extension(".tsv").build(),
        "onset\tduration\ttrial_type\n0.5\t1\tface\n3\t1\thouse\n");
  }
}

void write_root_sidecars(const fs::path& root, const SyntheticRaw& options) {
  if (options.sidecars == Sidecars::PerFile) return;
  for (const std::string& task : options.tasks) {
    const BidsName name{.entities = {{"task", task}}, .suffix = "bold", .extension = ".json"};
    write_json(root / name.build(), bold_sidecar(options, name));
  }
}

void write_anatomy(const fs::path& root, const BidsName& base, uint32_t seed) {
  const BidsName name = base.with_suffix("T1w");
  const fs::path folder = folder_of(root, base, "anat");
  write_image(folder / name.build(), {.frames = 0, .seed = seed});
  write_json(folder / name.with_extension(".json").build(),
             {{"RepetitionTime", 2.3}, {"EchoTime", 0.003}, {"Manufacturer", "Siemens"}});
}

void write_fieldmaps(const fs::path& root, const BidsName& base) {
  for (const char* direction : {"AP", "PA"}) {
    const BidsName name = base.with_suffix("epi").with("dir", direction);
    const fs::path folder = folder_of(root, base, "fmap");
    write_image(folder / name.build(), {.frames = 2});
    write_json(folder / name.with_extension(".json").build(),
               {{"PhaseEncodingDirection", direction[0] == 'A' ? "j-" : "j"}, {"TotalReadoutTime", 0.0365}});
  }
}

void write_tables(const fs::path& root, const SyntheticRaw& options) {
  std::string participants = "participant_id\tage\tsex\tgroup\n";
  for (size_t i = 0; i < options.participants.size(); ++i) {
    participants += "sub-" + options.participants[i] + "\t" + std::to_string(20 + i) +
                    (i % 2 ? "\tF" : "\tM") + (i % 3 ? "\tcontrol\n" : "\tn/a\n");
    if (options.sessions.empty()) continue;
    std::string sessions = "session_id\tscore\n";
    for (const std::string& session : options.sessions) sessions += "ses-" + session + "\t1.5\n";
    const std::string folder = "sub-" + options.participants[i];
    write_file(root / folder / (folder + "_sessions.tsv"), sessions);
  }
  write_file(root / "participants.tsv", participants);
  write_json(root / "participants.json",
             {{"age", {{"Description", "age of the participant"}, {"Units", "year"}}},
              {"sex", {{"Description", "sex"}, {"Levels", {{"F", "female"}, {"M", "male"}}}}},
              {"group", {{"Description", "group"}, {"Levels", {{"control", "control"}}}}}});
}

json producer_sidecar(const SyntheticFmriprep& options, const std::string& task) {
  return {{"RepetitionTime", options.bold.repetition_time_s},
          {"SkullStripped", false},
          {"StartTime", 0.0},
          {"TaskName", task}};
}

void write_confounds(const fs::path& folder, const BidsName& raw, const SyntheticFmriprep& options) {
  const char* suffix = options.age == FmriprepAge::Current ? "timeseries" : "regressors";
  std::string text = "global_signal\ttrans_x\trot_z\tframewise_displacement\tnon_steady_state_outlier00\n";
  for (int i = 0; i < options.bold.frames; ++i) {
    text += "1000.5\t0.0" + std::to_string(i) + "\t0\t" + (i == 0 ? "n/a" : "0.02") +
            (i == 0 ? "\t1\n" : "\t0\n");
  }
  write_file(folder / raw.with("desc", "confounds").with_suffix(suffix).with_extension(".tsv").build(), text);
}

void write_old_run(const fs::path& folder, const BidsName& raw, const SyntheticFmriprep& options) {
  // Names from before BIDS Derivatives have words between entities, which nothing of ours builds.
  const std::string stem = raw.with_extension(".x").build();
  const std::string start = (folder / stem.substr(0, stem.size() - 2)).string();
  for (const std::string& space : options.spaces) {
    if (space.empty()) continue;
    write_image(start + "_space-" + space + "_preproc.nii.gz", options.bold);
    write_image(start + "_space-" + space + "_brainmask.nii.gz",
                {.size = options.bold.size, .frames = 0, .is_mask = true});
  }
  write_file(start + "_confounds.tsv", "X\tY\n0\t0\n");
}

void write_derived_run(const fs::path& root, const BidsName& raw, const SyntheticFmriprep& options) {
  const fs::path folder = folder_of(root, raw, "func");
  if (options.age == FmriprepAge::V1_0) return write_old_run(folder, raw, options);
  SyntheticImage mask = options.bold;
  mask.frames = 0;
  mask.is_mask = true;
  for (const std::string& space : options.spaces) {
    for (const std::string& resolution : or_none(options.resolutions)) {
      const BidsName grid =
          with_label(with_label(raw, "space", space), "res", space.empty() ? "" : resolution);
      const BidsName bold = grid.with("desc", "preproc");
      write_image(folder / bold.build(), options.bold);
      write_json(folder / bold.with_extension(".json").build(), producer_sidecar(options, *raw.get("task")));
      const BidsName brain = grid.with("desc", "brain").with_suffix("mask");
      write_image(folder / brain.build(), mask);
      write_json(folder / brain.with_extension(".json").build(), {{"Type", "Brain"}});
      if (space.empty()) break;
    }
  }
  if (options.age == FmriprepAge::V20_2) {
    const std::string stem = raw.with_extension(".x").build();
    const size_t end = stem.rfind("_bold");
    write_file(folder / (stem.substr(0, end) + "_space-fsaverage_hemi-L_bold.func.gii"), "<GIFTI/>");
  }
  write_confounds(folder, raw, options);
}

}  // namespace

void write_raw_dataset(const fs::path& root, const SyntheticRaw& options) {
  write_json(root / "dataset_description.json", {{"Name", "synthetic"},
                                                 {"BIDSVersion", "1.10.0"},
                                                 {"DatasetType", "raw"},
                                                 {"License", "CC0"},
                                                 {"Authors", {"Nobody"}}});
  write_file(root / "README.md",
             "# Synthetic\n\nEllipsoids with noise, made by a program for tests of software.\n");
  if (options.tables) write_tables(root, options);
  write_root_sidecars(root, options);
  uint32_t seed = 1;
  for (const std::string& participant : options.participants) {
    for (const std::string& session : or_none(options.sessions)) {
      const BidsName base = base_name(participant, session);
      if (options.anat) write_anatomy(root, base, ++seed);
      if (options.fieldmaps) write_fieldmaps(root, base);
      for (const std::string& task : options.tasks) {
        for (const std::string& run : or_none(options.runs)) {
          for (const std::string& variant : or_none(options.variants)) {
            write_run(root, options, with_variant(with_label(base.with("task", task), "run", run), variant));
          }
        }
      }
    }
  }
}

void write_fmriprep_dataset(const fs::path& root, const SyntheticFmriprep& options) {
  json description{{"Name", options.producer + " - fMRI PREProcessing workflow"}, {"BIDSVersion", "1.4.0"}};
  if (options.age == FmriprepAge::V1_0) {
    description["PipelineDescription"] = {{"Name", options.producer}, {"Version", "1.0.3"}};
  } else {
    description["DatasetType"] = "derivative";
    const char* version = options.age == FmriprepAge::Current ? "24.1.1" : "20.2.7";
    description["GeneratedBy"] = json::array({{{"Name", options.producer}, {"Version", version}}});
  }
  write_json(root / "dataset_description.json", description);
  write_file(root / ".bidsignore",
             "*.html\nlogs/\nfigures/\n*_xfm.*\n*.surf.gii\n*_boldref.nii.gz\n*_bold.func.gii\n"
             "*_timeseries.tsv\n*_regressors.tsv\n");
  for (const std::string& participant : options.participants) {
    write_file(root / ("sub-" + participant + ".html"), "<html></html>");
    for (const std::string& session : or_none(options.sessions)) {
      const BidsName base = base_name(participant, session);
      for (const std::string& task : options.tasks) {
        for (const std::string& run : or_none(options.runs)) {
          write_derived_run(root, with_label(base.with("task", task), "run", run), options);
        }
      }
    }
  }
}

void write_hcp_dataset(const fs::path& root, const SyntheticHcp& options) {
  SyntheticImage mask = options.bold;
  mask.frames = 0;
  mask.is_mask = true;
  for (const std::string& subject : options.subjects) {
    const fs::path space = root / subject / "MNINonLinear";
    write_image(space / "T1w_restore_brain.nii.gz", {.frames = 0});
    for (const std::string& run : options.runs) {
      const fs::path folder = space / "Results" / run;
      SyntheticImage reference = options.bold;
      reference.frames = 0;
      write_image(folder / (run + ".nii.gz"), options.bold);
      write_image(folder / (run + "_SBRef.nii.gz"), reference);
      write_image(folder / (run + "_hp2000_clean.nii.gz"), options.bold);
      write_image(folder / "brainmask_fs.2.nii.gz", mask);
      std::string motion;
      for (int i = 0; i < options.bold.frames; ++i) motion += "0.01 0.02 0.03 0.1 0.2 0.3 0 0 0 0 0 0\n";
      write_file(folder / "Movement_Regressors.txt", motion);
    }
  }
}

}  // namespace slim::test
