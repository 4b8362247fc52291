// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "bids/bids_dataset.h"
#include "bids/producer.h"

namespace slim::bids {

/// The same for all images of one acquired run, whatever order, padding, space or description their names
/// have.
std::string run_key(const BidsName& name);

/// Why an image is not a run's whole volume series (an echo, a phase image, a surface); empty when it may be.
std::string why_no_series(const BidsName& name);

/// A BOLD image of an input dataset.
struct IndexedImage {
  size_t dataset = 0;  // place in InputChoice::datasets
  BidsFile file;       // an HCP image has the name that a BIDS derivative would give it
  std::filesystem::path absolute;
  bool present = true;  // false: only files made from it are here (HCP)
  std::optional<std::filesystem::path> mask{}, movement_regressors{};  // HCP only
};

/// The metadata of an image, and what was taken from the raw dataset.
struct FoundMetadata {
  std::shared_ptr<const nlohmann::json> json;
  std::string note;
};

/// Everything that the input datasets and the raw dataset hold, listed once.
class RunIndex {
 public:
  /// Lists only these participants (bare labels), empty = all. Errors of BidsDataset::scan.
  static RunIndex scan(const InputChoice& inputs, const std::vector<std::string>& participants, int threads);

  /// All images with suffix bold, in the order of datasets, then paths.
  const std::vector<IndexedImage>& images() const { return images_; }
  /// Raw BOLD images, sorted by path; of several echoes or parts each.
  const std::vector<BidsFile>& raw_images() const { return raw_images_; }
  /// Bare labels of the participants that were listed, in any of the datasets, sorted.
  const std::vector<std::string>& participants() const { return participants_; }
  /// Places that hold no acquired run, one sentence each, and what the walks warned of.
  const std::vector<std::pair<std::string, std::string>>& others() const { return others_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// A file of the image's dataset by its name, in the same participant and session; nullptr when there is
  /// none.
  const BidsFile* companion(size_t dataset, const BidsName& name) const;
  std::filesystem::path absolute(size_t dataset, const BidsFile& file) const;
  /// Own sidecars of the image; a few keys it lacks come from the raw run. Errors SB2004, SB2019, SB2102.
  FoundMetadata metadata(const IndexedImage& image) const;

 private:
  const BidsFile* raw_run(const IndexedImage& image, const nlohmann::json& metadata) const;

  std::vector<std::optional<BidsDataset>> datasets_{};  // none for HCP-style folders
  std::optional<BidsDataset> raw_{};
  std::vector<std::unordered_map<std::string, const BidsFile*>> companions_{};
  std::unordered_map<std::string, const BidsFile*> raw_by_run_{};
  std::vector<IndexedImage> images_{};
  std::vector<BidsFile> raw_images_{};
  std::vector<std::string> participants_{};
  std::vector<std::pair<std::string, std::string>> others_{};
  std::vector<std::string> warnings_{};
};

}  // namespace slim::bids
