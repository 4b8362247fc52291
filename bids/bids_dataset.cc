// SPDX-License-Identifier: Apache-2.0
#include "bids/bids_dataset.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "bids/sidecar.h"
#include "bids/text_file.h"
#include "bids/walk.h"
#include "core/error.h"
#include "core/json_file.h"

namespace slim::bids {
namespace {

using nlohmann::json;

std::string_view folder_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

json read_object(const std::filesystem::path& path) {
  json content = parse_json(read_dataset_text(path), path);
  if (!content.is_object()) {
    throw Error(message::kBadJson, path.filename().string() + " holds no JSON object.",
                {.file = path.string()});
  }
  return content;
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  // A dangling annex link counts as there, so that it is reported.
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

/// A JSON file that is parsed by whoever needs it first.
struct LazyJson {
  std::once_flag once;
  json content;
};

}  // namespace

struct BidsDataset::State {
  std::filesystem::path root;
  json description;
  std::exception_ptr description_error;
  bool is_derivative = false;
  std::vector<BidsFile> files;
  std::vector<std::string> participants;
  std::vector<std::string> warnings;
  std::unordered_map<std::string_view, std::vector<const BidsFile*>> folders;  // views into files
  mutable std::vector<LazyJson> parsed;  // one a file, empty for others than JSON

  void read_description();
  IgnoreRules ignore_rules() const;
  void group_by_folder();
  const json& content(const BidsFile& sidecar) const;
  std::vector<const BidsFile*> applicable_files(const BidsFile& file, std::string_view suffix,
                                                std::string_view extension) const;
};

void BidsDataset::State::read_description() {
  const std::filesystem::path path = root / "dataset_description.json";
  if (!is_there(path)) return;
  try {
    description = read_object(path);
  } catch (const Error&) {
    description_error = std::current_exception();  // told to whoever asks for it
    return;
  }
  const auto type = description.find("DatasetType");
  is_derivative = type != description.end() && type->is_string() && *type == "derivative";
}

IgnoreRules BidsDataset::State::ignore_rules() const {
  // Producers list files there that are needed: confounds, transforms, our own clip stores. Before
  // DatasetType they wrote PipelineDescription.
  if (is_derivative || description.contains("PipelineDescription")) return {};
  const std::filesystem::path path = root / ".bidsignore";
  return is_there(path) ? IgnoreRules(read_dataset_text(path)) : IgnoreRules();
}

void BidsDataset::State::group_by_folder() {
  for (const BidsFile& file : files) folders[folder_of(file.path)].push_back(&file);
  parsed = std::vector<LazyJson>(files.size());
}

const json& BidsDataset::State::content(const BidsFile& sidecar) const {
  LazyJson& slot = parsed[static_cast<size_t>(&sidecar - files.data())];
  std::call_once(slot.once, [&] { slot.content = read_object(root / sidecar.path); });
  return slot.content;
}

/// One file a folder at most, the root's first.
std::vector<const BidsFile*> BidsDataset::State::applicable_files(const BidsFile& file,
                                                                  std::string_view suffix,
                                                                  std::string_view extension) const {
  std::vector<const BidsFile*> found;
  for (std::string_view folder = folder_of(file.path);; folder = folder_of(folder)) {
    if (const auto entry = folders.find(folder); entry != folders.end()) {
      const BidsFile* candidate = applicable(entry->second, file, suffix, extension, is_derivative);
      if (candidate) found.push_back(candidate);
    }
    if (folder.empty()) break;
  }
  std::reverse(found.begin(), found.end());
  return found;
}

BidsDataset BidsDataset::scan(const std::filesystem::path& root, const ScanOptions& options) {
  auto state = std::make_shared<State>();
  state->root = root;
  state->read_description();
  WalkResult found = walk_dataset(root, options, state->ignore_rules());
  state->files = std::move(found.files);
  state->participants = std::move(found.participants);
  state->warnings = std::move(found.warnings);
  state->group_by_folder();
  BidsDataset dataset;
  dataset.state_ = std::move(state);
  return dataset;
}

const std::filesystem::path& BidsDataset::root() const { return state_->root; }

const json& BidsDataset::description() const {
  if (state_->description_error) std::rethrow_exception(state_->description_error);
  return state_->description;
}

std::string BidsDataset::dataset_type() const {
  const json& content = description();
  const auto type = content.find("DatasetType");
  return type != content.end() && type->is_string() ? type->get<std::string>() : "raw";
}

const std::vector<BidsFile>& BidsDataset::files() const { return state_->files; }
const std::vector<std::string>& BidsDataset::participants() const { return state_->participants; }
const std::vector<std::string>& BidsDataset::warnings() const { return state_->warnings; }
std::filesystem::path BidsDataset::absolute(const BidsFile& file) const { return state_->root / file.path; }

const BidsFile* BidsDataset::find(std::string_view path) const {
  const std::vector<BidsFile>& files = state_->files;
  const auto place =
      std::lower_bound(files.begin(), files.end(), path,
                       [](const BidsFile& file, std::string_view wanted) { return file.path < wanted; });
  return place != files.end() && place->path == path ? &*place : nullptr;
}

json BidsDataset::metadata(const BidsFile& file) const {
  json merged = json::object();
  for (const BidsFile* sidecar : state_->applicable_files(file, file.name.suffix, ".json")) {
    merge_metadata(merged, state_->content(*sidecar));
  }
  for (auto entry = merged.begin(); entry != merged.end();) {
    entry = entry->is_null() ? merged.erase(entry) : std::next(entry);
  }
  return merged;
}

std::vector<std::string> BidsDataset::sidecars(const BidsFile& file) const {
  std::vector<std::string> paths;
  for (const BidsFile* sidecar : state_->applicable_files(file, file.name.suffix, ".json"))
    paths.push_back(sidecar->path);
  return paths;
}

const BidsFile* BidsDataset::associated(const BidsFile& file, std::string_view suffix,
                                        std::string_view extension) const {
  const std::vector<const BidsFile*> found = state_->applicable_files(file, suffix, extension);
  return found.empty() ? nullptr : found.back();
}

}  // namespace slim::bids
