// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "image/nifti_io.h"
#include "preproc/gates.h"
#include "preproc/options.h"
#include "preproc/standardise.h"

namespace slim::preproc {

/// A run in template space and what is known of it.
struct MniInput {
  std::filesystem::path bold;
  std::optional<std::filesystem::path> mask{};  // the producer's brain mask, 3-D
  std::optional<double> metadata_tr_s{};        // RepetitionTime or VolumeTiming of the sidecar
  std::optional<double> tr_override_s{};        // replaces metadata and header
  double start_time_s = 0.0;                    // StartTime of the sidecar
  int64_t dummy_frames = 0;                     // dropped from the front
  std::string space{};                          // as in the file's name, for example MNI152NLin6Asym
  std::string producer{};                       // for example fMRIPrep 23.2.1
  bool denoised_by_name = false;                // its producer or name says so
};

/// Numbers about a prepared run; to_json gives them their public names.
struct PrepQc {
  GateReport gates;
  int64_t dummies = 0, frames_source = 0, frames_stored = 0;
  int64_t n_valid = 0, clamped = 0, saturated = 0;
  double tsnr_median = 0.0;  // over valid voxels, source frames
  std::array<double, 3> source_voxel_mm{};
  std::string mask_source;  // producer, non-zero, template
};
nlohmann::json to_json(const PrepQc& qc);

/// A run ready to be stored: standardised frames, images for people, numbers and sentences.
struct PreparedRun {
  StandardisedBold bold;
  std::map<std::string, std::string> metadata;  // of the clip store, all but configuration_hash
  std::vector<uint8_t> mask;                    // [96^3] 0/1, x fastest: the run's brain
  std::vector<float> mean, tsnr;  // [96^3] source units and ratio, source frames; 0 where not valid
  PrepQc qc;
  std::vector<std::string> warnings{};
};

/// Takes a BOLD run in template space to standardised tokens on the SLIM grid. Uses the calling TBB arena;
/// the result depends on nothing but input and options. Errors SB2005-SB2017 of preproc, SB2101, SB2102,
/// SB4004, SB6001.
PreparedRun prepare_mni(const MniInput& input, const PrepOptions& options, const Progress& progress = {});

/// Memory that prepare_mni needs at its peak for `dummy_frames` dropped, bytes.
uint64_t estimate_memory_bytes(const image::NiftiHeader& header, double repetition_time_s,
                               const PrepOptions& options);

}  // namespace slim::preproc
