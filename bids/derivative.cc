// SPDX-License-Identifier: Apache-2.0
#include "bids/derivative.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>

#include "core/atomic_file.h"
#include "core/error.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::bids {
namespace {

// Note [Commit]. A unit is there when its primary file is there. So the old primary goes first, then
// secondary files and sidecars are replaced, and the new primary appears last, by rename: no moment shows a
// new sidecar beside old data, and killing the program at any moment leaves the unit either whole or missing.

std::string sidecar_text(const json& sidecar) {
  return sidecar.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool holds(const fs::path& path, const std::string& text) {
  return is_there(path) && slim::read_text(path) == text;
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) {
    throw Error(message::kInputOutput, "The old file cannot be removed: " + error.message() + ".",
                {.file = path.string()});
  }
}

bool equal_content(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (!is_there(b) || fs::file_size(a, error) != fs::file_size(b, error) || error) {
    return false;
  }
  std::ifstream first(a, std::ios::binary), second(b, std::ios::binary);
  std::array<char, 1 << 16> x, y;
  while (first && second) {
    first.read(x.data(), x.size());
    second.read(y.data(), y.size());
    if (first.gcount() != second.gcount() ||
        std::memcmp(x.data(), y.data(), static_cast<size_t>(first.gcount())) != 0) {
      return false;
    }
  }
  return first.eof() && second.eof();
}

// Thrown out of write_atomically, which then drops the temporary file.
struct Unchanged {};

// Publishes new data; leaves the file alone when it would not change. `before` runs just before a change.
void publish_data(const fs::path& target, const DataWriter& write, const std::function<void()>& before) {
  try {
    write_atomically(target, [&](const fs::path& partial) {
      write(partial);
      if (equal_content(partial, target)) {
        throw Unchanged{};
      }
      before();
    });
  } catch (const Unchanged&) {
  }
}

// Where temporaries of dataset-level files lie: another process may own one, so a later call cannot tell at
// once which are left over, and they must not stand among the results meanwhile.
fs::path state_folder(const fs::path& root) { return root / ".slimbrain"; }

// Publishes a dataset-level text unless some process has done so; returns what is there afterwards.
std::string create_text(const fs::path& target, const std::string& text) {
  if (is_there(target)) {
    return slim::read_text(target);
  }
  const fs::path folder = state_folder(target.parent_path());
  create_folder(folder);
  const fs::path partial =
      folder / (std::string(kPartialPrefix) + make_uuid() + "-" + target.filename().string());
  try {
    write_text(partial, text);
    if (::link(partial.c_str(), target.c_str()) != 0 && errno != EEXIST) {
      // A file system without hard links: every process brings the same bytes, so a rename does as well.
      fs::rename(partial, target);
    }
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    throw Error(message::kCannotCreate,
                "The file cannot be put in its place: " + error.code().message() + ".",
                {.file = target.string()});
  } catch (...) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    throw;
  }
  std::error_code ignored;
  fs::remove(partial, ignored);
  return slim::read_text(target);
}

// Temporaries of dataset-level files belong to processes that may be alive; old ones do not.
void remove_old_partials(const fs::path& folder) {
  const auto limit = fs::file_time_type::clock::now() - std::chrono::hours(1);
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->path().filename().string().starts_with(kPartialPrefix) && it->last_write_time(ignored) < limit) {
      fs::remove(it->path(), ignored);
    }
  }
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

// A folder that holds files but no description of ours is somebody else's.
void check_foreign(const fs::path& root) {
  if (is_there(root / "dataset_description.json")) {
    return;
  }
  std::error_code error;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("sub-")) {
      throw Error(message::kBadOutputPlace,
                  "OUT_DIR holds participants but no dataset_description.json of slimbrain.",
                  {.file = (root / name).string(),
                   .remedy = "choose a folder of its own, for example BIDS_DIR/derivatives/slimbrain"});
    }
  }
}

}  // namespace

void check_output_place(const fs::path& bids_dir, const fs::path& out_dir) {
  const fs::path in = fs::weakly_canonical(bids_dir), out = fs::weakly_canonical(out_dir);
  const char* remedy = "choose a folder of its own, for example BIDS_DIR/derivatives/slimbrain";
  if (in == out) {
    throw Error(message::kBadOutputPlace, "OUT_DIR is BIDS_DIR itself.",
                {.file = out_dir.string(), .remedy = remedy});
  }
  if (!is_inside(out, in)) {
    return;
  }
  const std::string first = out.lexically_relative(in).begin()->string();
  if (first.starts_with("sub-") || first == "sourcedata") {
    throw Error(message::kBadOutputPlace, "OUT_DIR lies inside BIDS_DIR/" + first + ".",
                {.file = out_dir.string(), .remedy = remedy});
  }
}

DerivativeDataset DerivativeDataset::open(const fs::path& root, const DatasetFacts& facts,
                                          const OpenOptions& options) {
  create_folder(root);
  check_foreign(root);
  DerivativeDataset dataset;
  dataset.root_ = root;
  const fs::path description = root / "dataset_description.json";
  const std::string existing = create_text(description, dataset_description_text(facts, root));
  const auto grown_from = [&](const std::string& text) {
    return within(root.string(),
                  [&] { return grow_description(text, facts, root, options.replace_configuration); });
  };
  if (grown_from(existing).text != existing) {
    const auto grow = [&] {
      const GrownDescription grown =
          grown_from(slim::read_text(description));  // again: others may have grown it
      dataset.warnings_ = grown.warnings;
      write_text_if_different(description, grown.text);
    };
    options.exclusively ? options.exclusively(grow) : grow();
  }
  if (create_text(root / ".bidsignore", bidsignore_text()) != bidsignore_text()) {
    dataset.warnings_.push_back(
        "The .bidsignore of OUT_DIR was changed by hand; a validator may report our files.");
  }
  create_text(root / "README.md", readme_text());
  create_text(root / "descriptions.tsv", descriptions_table_text(facts));
  create_text(root / "descriptions.json", descriptions_json_text());
  remove_old_partials(root);
  remove_old_partials(state_folder(root));
  const fs::path place = fs::weakly_canonical(root);
  if (place.parent_path().filename() == "derivatives" &&
      place.filename().string().find("slimbrain") == std::string::npos) {
    dataset.warnings_.push_back(
        "OUT_DIR lies in a derivatives folder and its name lacks \"slimbrain\": BIDS asks for "
        "the program's name there.");
  }
  return dataset;
}

std::string DerivativeDataset::folder_of(const BidsName& name, std::string_view datatype) {
  const std::string* subject = name.get("sub");
  if (subject == nullptr) {
    throw Error(message::kBug, "A participant's file was to be placed without a participant.");
  }
  const std::string* session = name.get("ses");
  return "sub-" + *subject + "/" + (session == nullptr ? std::string() : "ses-" + *session + "/") +
         std::string(datatype);
}

std::string DerivativeDataset::relative_path(const BidsName& name, std::string_view datatype) {
  return folder_of(name, datatype) + "/" + name.build();
}

fs::path DerivativeDataset::path_of(const BidsName& name, std::string_view datatype) const {
  return root_ / relative_path(name, datatype);
}

fs::path DerivativeDataset::sidecar_of(const BidsName& name, std::string_view datatype) const {
  return path_of(name.with_extension(".json"), datatype);
}

void DerivativeDataset::commit(const BidsName& name, const json& sidecar,
                               const DataWriter& write_data) const {
  commit_unit({{.name = name, .sidecar = sidecar, .write = write_data}});
}

void DerivativeDataset::commit_unit(const std::vector<DerivativeFile>& files) const {
  if (files.empty()) {
    throw Error(message::kBug, "A unit without files was to be committed.");
  }
  const fs::path primary = path_of(files.back().name);
  const auto withdraw = [&] { remove_file(primary); };
  for (const DerivativeFile& file : files) {
    create_folder(root_ / folder_of(file.name));
  }
  for (const DerivativeFile& file : files) {
    const fs::path target = path_of(file.name), json_path = sidecar_of(file.name);
    const std::string text = sidecar_text(file.sidecar);
    const bool changes = !holds(json_path, text);
    if (target == json_path) {  // a JSON file is its own sidecar
      if (changes) {
        withdraw();
        write_text_if_different(target, text);
      }
      continue;
    }
    if (changes) {
      withdraw();
      remove_file(target);
      write_text_if_different(json_path, text);
    }
    try {
      publish_data(target, file.write, &file == &files.back() ? std::function<void()>([] {}) : withdraw);
    } catch (...) {
      // A sidecar without its data would only puzzle.
      if (changes) {
        std::error_code ignored;
        fs::remove(json_path, ignored);
      }
      throw;
    }
  }
}

bool DerivativeDataset::is_current(const BidsName& primary, const json& sidecar) const {
  return is_there(path_of(primary)) && holds(sidecar_of(primary), sidecar_text(sidecar));
}

json DerivativeDataset::committed_sidecar(const BidsName& name) const {
  if (!is_there(path_of(name)) || !is_there(sidecar_of(name))) {
    return nullptr;
  }
  return json::parse(slim::read_text(sidecar_of(name)), nullptr, false).is_discarded()
             ? json(nullptr)
             : json::parse(slim::read_text(sidecar_of(name)));
}

int DerivativeDataset::remove_stale_partials(std::string_view participant) const {
  int removed = 0;
  std::vector<fs::path> stale;
  std::error_code error;
  for (fs::recursive_directory_iterator it(root_ / ("sub-" + std::string(participant)), error), end;
       !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(kPartialPrefix)) {
      stale.push_back(it->path());
    }
  }
  for (const fs::path& path : stale) {
    remove_file(path);
    ++removed;
  }
  return removed;
}

}  // namespace slim::bids
