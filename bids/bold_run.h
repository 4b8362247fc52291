// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bids/bids_name.h"
#include "bids/filter.h"
#include "bids/producer.h"
#include "bids/space_choice.h"
#include "core/error.h"

namespace slim::bids {

/// One acquired BOLD run and the image that stands for it: paths and metadata, no voxels.
struct BoldRun {
  BidsName name;            // raw entities, suffix bold, extension .nii.gz
  std::string participant;  // bare label
  std::filesystem::path image;
  std::string space;   // template label, e.g. MNI152NLin6Asym
  std::string family;  // NLin6 or NLin2009
  Producer producer = Producer::Derivative;
  std::string dataset;    // name of the input dataset in BIDS URIs
  bool denoised = false;  // by its producer or its name; the gate for it is elsewhere
  std::optional<std::filesystem::path> mask{};
  std::optional<std::filesystem::path> confounds{};
  std::optional<std::filesystem::path> movement_regressors{};  // HCP: mm and degrees
  int64_t dummy_volumes = 0;                         // leading non-steady volumes named by the confounds
  int64_t confound_rows = 0;                         // 0 without confounds
  std::shared_ptr<const nlohmann::json> metadata{};  // never null; gaps filled from the raw dataset
  std::string metadata_note{};                       // which keys came from where; empty when none did
  std::string image_uri;                             // bids:NAME:path of the image
  std::string mask_uri{}, confounds_uri{};           // empty when there is none
  std::string choice;                                // the sentence why this image stands for the run
};

/// Leading volumes that the columns non_steady_state_outlier* mark, and the table's rows. Errors of read_tsv.
struct DummyVolumes {
  int64_t count = 0;
  int64_t rows = 0;
};
DummyVolumes count_dummy_volumes(const std::filesystem::path& confounds);

struct RunRequest {
  std::filesystem::path bids_dir;
  std::vector<NamedPath> derivatives{};
  InputType input_type = InputType::Auto;
  ImageWish image{};
  Selection selection{};
  bool read_confounds = true;  // false: dummy_volumes stay 0, nothing but names and sidecars is read
  HeaderReader read_header{};
  int threads = 1;
};

/// A step of the selection and what it left.
struct FunnelStep {
  std::string name;
  int64_t before = 0, after = 0;
  std::vector<std::string> examples{};  // up to three of what was left out, with the value that failed
};
/// The funnel as lines of text, for messages and --dry-run.
std::string funnel_text(const std::vector<FunnelStep>& funnel);

struct RunSearch {
  struct Failed {  // selected, but cannot be used: counts as a failed unit
    BidsName name;
    std::string path;
    Error error;
  };
  struct Excluded {  // left out for a reason that is no fault
    std::string path;
    std::string reason;
  };
  std::vector<BoldRun> runs{};  // sorted by participant and name
  std::vector<Failed> failed{};
  std::vector<Excluded> excluded{};
  std::vector<FunnelStep> funnel{};
  InputChoice inputs{};  // datasets, places searched with verdicts
  std::vector<std::string> warnings{};
};

/// Finds the BOLD image of every selected run. Errors: those of find_inputs; SB2103 raw BOLD without a usable
/// derivative; SB3001 unknown label; SB3002 nothing selected, with the funnel. A run whose images are
/// unusable is in `failed`.
RunSearch find_bold_runs(const RunRequest& request);

}  // namespace slim::bids
