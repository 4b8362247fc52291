// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image/nifti_io.h"
#include "preproc/options.h"

namespace slim::preproc {

/// What is known of a run beside its header.
struct HeaderFacts {
  std::optional<double> metadata_tr_s{};  // RepetitionTime or VolumeTiming of the sidecar
  std::optional<double> tr_override_s{};  // the user's word
  int64_t dummy_frames = 0;               // known so far
  bool in_template_space = true;          // else raw: the field of view is judged by its edges
};

/// A run that may be read.
struct CheckedHeader {
  double repetition_time_s = 0.0;
  int64_t predicted_frames = 0;  // stored frames after dummies and time resampling
  std::vector<std::string> warnings{};
};

/// Judges a run before a voxel is inflated, in this order: 4-D (SB2012), orientation (SB2013), repetition
/// time (SB2014, SB2005), length (SB2009), extent (SB2016). The file's own form (SB2010, SB2011) was judged
/// by read_header.
CheckedHeader check_header(const image::NiftiHeader& header, const HeaderFacts& facts,
                           const PrepOptions& options);

/// The repetition time: the override, else metadata, else the header. Errors SB2014, SB2005 (metadata and
/// header differ by more than 5 %); more than 1 ms apart is a warning.
double repetition_time(const image::NiftiHeader& header, const HeaderFacts& facts,
                       std::vector<std::string>& warnings);

/// "NLin6" or "NLin2009" for space labels whose images can be used, nothing for others.
std::optional<std::string> template_family(const std::string& space);

}  // namespace slim::preproc
