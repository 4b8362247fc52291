// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bids/bids_name.h"

namespace slim::bids {

/// What the directory entry of a file is.
enum class FileState : uint8_t {
  Present,
  Annexed  // a dangling git-annex link or a pointer file: the content is elsewhere
};

/// One file of a dataset.
struct BidsFile {
  std::string path;  // relative to the dataset's root, with '/'
  BidsName name;
  std::string datatype;  // func, anat, fmap, ... or empty
  uint64_t size = 0;
  FileState state = FileState::Present;
};

struct ScanOptions {
  /// Only the root and these participants' folders are listed; empty = all. Bare labels.
  std::vector<std::string> participants{};
  int threads = 1;
};

// Note [Two sidecars]. Where two JSON files of one folder apply to an image, a raw dataset is refused (BIDS
// allows one). In a derivative dataset the one with all of the image's entities is taken: fMRIPrep itself
// writes desc-preproc_bold.json beside space-X_desc-preproc_bold.json.

/// An immutable index of a BIDS dataset (raw or derivative), made by one walk over its folders.
class BidsDataset {
 public:
  /// Error SB2101 when the folder does not exist. A missing dataset_description.json is not an error here.
  static BidsDataset scan(const std::filesystem::path& root, const ScanOptions& options = {});

  const std::filesystem::path& root() const;
  /// Content of dataset_description.json; nullptr JSON when there is none. Error SB2019 when it cannot be
  /// parsed.
  const nlohmann::json& description() const;
  /// "raw" or "derivative" (DatasetType), "raw" when the description does not say.
  std::string dataset_type() const;
  /// All BIDS-named files, sorted by path.
  const std::vector<BidsFile>& files() const;
  /// Bare labels of the participants that have a folder, sorted.
  const std::vector<std::string>& participants() const;
  /// Names met during the walk that are worth a word to the user (wrong entity order, ...), one sentence
  /// each.
  const std::vector<std::string>& warnings() const;
  std::filesystem::path absolute(const BidsFile& file) const;
  /// The file with this path relative to the root, or nullptr.
  const BidsFile* find(std::string_view path) const;

  /// The JSON metadata that applies to a file: sidecars merged from the root down, deeper wins, null takes a
  /// key back; an empty object when there are none. Error SB2004 when two in one folder apply, SB2019 when
  /// one cannot be parsed, SB2102 when one is annexed and absent. Several threads may call it at once.
  nlohmann::json metadata(const BidsFile& file) const;
  /// The sidecars behind metadata(), relative paths, root first.
  std::vector<std::string> sidecars(const BidsFile& file) const;
  /// The deepest file with this suffix and extension that applies to a file (its events.tsv, say), or
  /// nullptr. Error SB2004.
  const BidsFile* associated(const BidsFile& file, std::string_view suffix, std::string_view extension) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// What prep needs of a BOLD file's metadata.
struct BoldMetadata {
  std::optional<double> repetition_time_s;  // RepetitionTime or evenly spaced VolumeTiming
  std::optional<double> start_time_s;
  std::optional<std::string> task_name;
  std::optional<bool> skull_stripped;
};
/// Empty fields for absent keys. Error SB2014 when RepetitionTime is not a positive number or VolumeTiming is
/// uneven by more than 1 ms.
BoldMetadata bold_metadata(const nlohmann::json& metadata, std::string_view file);

}  // namespace slim::bids
