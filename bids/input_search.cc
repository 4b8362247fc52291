// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "bids/producer.h"
#include "bids/text_file.h"
#include "core/error.h"
#include "core/json_file.h"

namespace fs = std::filesystem;

namespace slim::bids {
namespace {

using Kind = Recognition::Kind;

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

InputDataset dataset_from(std::string name, const fs::path& root, const Recognition& seen) {
  return {.name = std::move(name),
          .root = root,
          .producer = seen.producer,
          .denoised = seen.denoised,
          .old_dcan = seen.old_dcan,
          .made_by = seen.made_by,
          .description = seen.description};
}

std::optional<Producer> wanted_producer(InputType type) {
  switch (type) {
    case InputType::Fmriprep:
      return Producer::Fmriprep;
    case InputType::Hcp:
      return Producer::Hcp;
    case InputType::Derivative:
      return Producer::Derivative;
    default:
      return std::nullopt;
  }
}

// Throws what is wrong with a description that is there.
void check_description(const fs::path& folder) {
  const fs::path path = folder / "dataset_description.json";
  std::error_code ignored;
  if (fs::symlink_status(path, ignored).type() == fs::file_type::not_found) {
    return;
  }
  if (!parse_json(read_dataset_text(path), path).is_object()) {
    throw Error(message::kBadJson, "The file holds no JSON object.", {.file = path.string()});
  }
}

// A dataset named by -d: what the user says counts, so a missing description is a warning only.
InputDataset given_dataset(const NamedPath& given, InputType type, InputChoice* choice) {
  Recognition seen = recognise(given.path);
  choice->searched.push_back({given.path, seen.verdict + " (given as " + given.name + ")"});
  if (!is_folder(given.path)) {
    throw Error(message::kMissingPath, "The derivative " + given.name + " does not exist.",
                {.file = given.path.string(), .remedy = "inside a container bind its parent with -B"});
  }
  if (const auto producer = wanted_producer(type)) {
    seen.producer = *producer;
    return dataset_from(given.name, given.path, seen);
  }
  if (seen.kind == Kind::OwnOutput || seen.kind == Kind::Ukb || seen.kind == Kind::Raw ||
      seen.kind == Kind::Study) {
    throw Error(message::kNeedsDerivative,
                "The folder given as derivative " + given.name + " is " + seen.verdict + ".",
                {.file = given.path.string(),
                 .expected = "an fMRIPrep- or HCP-like derivative with BOLD images in MNI space"});
  }
  if (seen.kind == Kind::Nothing) {
    check_description(given.path);
    choice->warnings.push_back("The derivative " + given.name + " has " + seen.verdict +
                               "; it is read as a derivative of unknown origin.");
    seen.producer = Producer::Derivative;
  }
  return dataset_from(given.name, given.path, seen);
}

void check_names(const std::vector<NamedPath>& derivatives) {
  std::set<std::string> names;
  for (const NamedPath& given : derivatives) {
    if (!names.insert(given.name).second) {
      throw Error(message::kBadValue, "Two derivatives are named " + given.name + "; use -d NAME=PATH.");
    }
  }
}

// The recognised datasets right below a derivatives/ folder that hold BOLD images in some space.
std::vector<InputDataset> datasets_below(const fs::path& derivatives, InputType type, InputChoice* choice) {
  std::vector<InputDataset> found;
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(derivatives, error), end; !error && it != end; it.increment(error)) {
    if (is_folder(it->path()) && !it->path().filename().string().starts_with('.')) {
      folders.push_back(it->path());
    }
  }
  std::sort(folders.begin(), folders.end());
  const std::optional<Producer> wanted = wanted_producer(type);
  for (const fs::path& folder : folders) {
    Recognition seen = recognise(folder);
    if (seen.kind == Kind::Input && seen.producer != Producer::Hcp) {
      const BoldNames names = probe_bold_names(folder);
      if (names != BoldNames::Placed) {
        seen.kind = Kind::Nothing;
        seen.verdict += names == BoldNames::None
                            ? ", without BOLD images in any space"
                            : ", with names from before fMRIPrep 1.2, which cannot be read";
      }
    }
    choice->searched.push_back({folder, seen.verdict});
    const bool fits = !wanted || *wanted == Producer::Derivative || seen.producer == *wanted;
    if (seen.kind == Kind::Input && fits) {
      found.push_back(dataset_from(parse_named_path(folder.string()).name, folder, seen));
    }
  }
  return found;
}

[[noreturn]] void fail_undescribed(const fs::path& bids_dir) {
  ErrorDetails details{.file = (bids_dir / "dataset_description.json").string()};
  std::string hint;
  for (const char* name : {"rawdata", "rawbids", "bids", "BIDS", "data", "sourcedata/raw"}) {
    std::error_code ignored;
    if (fs::exists(bids_dir / name / "dataset_description.json", ignored)) {
      hint = "; did you mean " + (bids_dir / name).string() + "?";
      break;
    }
  }
  if (hint.empty()) {
    details.remedy = "add one, or name the folder that has it";
    hint = ".";
  }
  throw Error(message::kNoDescription, "No dataset_description.json in " + bids_dir.string() + hint,
              std::move(details));
}

}  // namespace

InputChoice find_inputs(const fs::path& bids_dir, const std::vector<NamedPath>& derivatives, InputType type) {
  if (!is_folder(bids_dir)) {
    throw Error(message::kMissingPath, "BIDS_DIR does not exist; inside a container bind its parent with -B.",
                {.file = bids_dir.string()});
  }
  check_names(derivatives);
  InputChoice choice;
  Recognition seen = recognise(bids_dir);
  if (type == InputType::Ukb || (type == InputType::Auto && derivatives.empty() && seen.kind == Kind::Ukb)) {
    throw Error(
        message::kNeedsDerivative,
        "UK Biobank folders hold BOLD images in native space; this version does not apply their warp.",
        {.file = bids_dir.string(), .expected = "BOLD images in MNI space"});
  }
  choice.searched.push_back({bids_dir, seen.verdict});
  if (seen.kind == Kind::Raw) {
    choice.raw_root = bids_dir;
  } else if (seen.kind == Kind::Study) {
    for (const char* name : {"rawbids", "sourcedata/raw", "rawdata"}) {
      if (choice.raw_root.empty() && recognise(bids_dir / name).kind == Kind::Raw) {
        choice.raw_root = bids_dir / name;
        choice.searched.push_back({choice.raw_root, "a raw dataset"});
      }
    }
  } else if (seen.kind == Kind::Nothing && derivatives.empty() && !wanted_producer(type)) {
    check_description(bids_dir);
    fail_undescribed(bids_dir);
  } else if (seen.kind == Kind::OwnOutput && derivatives.empty()) {
    throw Error(message::kNeedsDerivative, "BIDS_DIR is an output of slimbrain, not an input for it.",
                {.file = bids_dir.string()});
  }
  if (type == InputType::Raw) {
    return choice;
  }
  for (const NamedPath& given : derivatives) {
    choice.datasets.push_back(given_dataset(given, type, &choice));
  }
  if (!derivatives.empty()) {
    return choice;
  }
  const std::optional<Producer> wanted = wanted_producer(type);
  if (seen.kind == Kind::Input || (wanted && seen.kind == Kind::Nothing)) {
    if (seen.kind == Kind::Nothing) {
      choice.warnings.push_back("BIDS_DIR has " + seen.verdict + "; --input-type says what it is.");
    }
    seen.producer = wanted.value_or(seen.producer);
    const std::string label = seen.made_by.empty() ? std::string(producer_name(seen.producer)) : seen.made_by;
    choice.datasets.push_back(dataset_from(parse_named_path("/" + label).name, bids_dir, seen));
    return choice;
  }
  std::vector<fs::path> roots{bids_dir / "derivatives"};
  if (!choice.raw_root.empty() && choice.raw_root != bids_dir) {
    roots.push_back(choice.raw_root / "derivatives");
  }
  for (const fs::path& root : roots) {
    if (!is_folder(root)) {
      choice.searched.push_back({root, "no such folder"});
      continue;
    }
    for (InputDataset& dataset : datasets_below(root, type, &choice)) {
      choice.datasets.push_back(std::move(dataset));
    }
  }
  if (choice.datasets.size() > 1) {
    std::string places;
    for (const InputDataset& dataset : choice.datasets) {
      places += (places.empty() ? "" : ", ") + dataset.root.string();
    }
    throw Error(message::kTie, "Several derivatives could be meant: " + places + ".",
                {.remedy = "name one with -d NAME=PATH, or several in the order of preference"});
  }
  return choice;
}

}  // namespace slim::bids
