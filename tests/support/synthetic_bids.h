// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace slim::test {

/// An int16 image of an ellipsoid about (0, -18, 10) mm of value 1000 with noise; 0 outside. Axes are RAS or
/// LAS.
struct SyntheticImage {
  std::array<int, 3> size{16, 16, 16};
  double spacing_mm = 12;
  int frames = 4;  // 0 = a 3-D image
  double repetition_time_s = 2;
  double noise = 20;  // standard deviation, same units
  bool left_to_right = true;
  bool is_mask = false;  // 1 inside, no noise
  uint32_t seed = 1;
};

void write_file(const std::filesystem::path& path, std::string_view content);
/// .nii or .nii.gz (stored blocks, no time or name); creates the folders above.
void write_image(const std::filesystem::path& path, const SyntheticImage& image);

enum class Sidecars { Root, PerFile, Mixed };

/// A raw dataset that the BIDS validator accepts.
struct SyntheticRaw {
  std::vector<std::string> participants{"01", "02"};
  std::vector<std::string> sessions{};  // empty = no session level
  std::vector<std::string> tasks{"rest"};
  std::vector<std::string> runs{};      // as spelled: "1" or "01"; empty = no run entity
  std::vector<std::string> variants{};  // further entities of a BOLD file, each one file: "acq-mb_dir-AP"
  Sidecars sidecars = Sidecars::PerFile;
  bool volume_timing = false;  // instead of RepetitionTime
  bool anat = true, events = false, fieldmaps = false, tables = true;
  SyntheticImage bold{};
};
void write_raw_dataset(const std::filesystem::path& root, const SyntheticRaw& options);

enum class FmriprepAge { Current, V20_2, V1_0 };

/// Derivatives as fMRIPrep names them, for the same kind of participants.
struct SyntheticFmriprep {
  std::vector<std::string> participants{"01", "02"};
  std::vector<std::string> sessions{};
  std::vector<std::string> tasks{"rest"};
  std::vector<std::string> runs{};
  std::vector<std::string> spaces{"MNI152NLin6Asym"};  // "" = the run's own space
  std::vector<std::string> resolutions{"2"};           // "" = no res entity
  FmriprepAge age =
      FmriprepAge::Current;  // V20_2: hemi after space; V1_0: names from before BIDS Derivatives
  std::string producer = "fMRIPrep";
  SyntheticImage bold{.size = {24, 28, 24}, .spacing_mm = 8, .frames = 6};
};
void write_fmriprep_dataset(const std::filesystem::path& root, const SyntheticFmriprep& options);

/// A folder in the style of the Human Connectome Project's minimally preprocessed releases.
struct SyntheticHcp {
  std::vector<std::string> subjects{"100307"};
  std::vector<std::string> runs{"rfMRI_REST1_LR", "tfMRI_MOTOR_RL"};
  SyntheticImage bold{.size = {24, 28, 24}, .spacing_mm = 8, .frames = 6, .repetition_time_s = 0.72};
};
void write_hcp_dataset(const std::filesystem::path& root, const SyntheticHcp& options);

}  // namespace slim::test
