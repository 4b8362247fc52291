// SPDX-License-Identifier: Apache-2.0
#include "bids/hcp.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

namespace fs = std::filesystem;

namespace slim::bids {
namespace {

constexpr const char* kResults = "MNINonLinear/Results";

bool is_alnum(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 128 && std::isalnum(c); });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(separator, start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return result;
}

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (!name.starts_with('.') && it->is_directory(ignored)) {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// A dangling link counts: its content may be in an annex, and reading it will say so.
bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

std::optional<fs::path> first_there(const std::vector<fs::path>& paths) {
  const auto found = std::find_if(paths.begin(), paths.end(), is_there);
  return found == paths.end() ? std::nullopt : std::optional(*found);
}

// DCAN folders carry BIDS entities: ses-A_task-rest_run-01, task-rest_run-1.
std::optional<BidsName> entity_style_run(const BidsName& person, std::string_view folder) {
  const std::string text = "sub-" + *person.get("sub") + "_" + std::string(folder) + "_bold.nii.gz";
  std::optional<BidsName> name = BidsName::parse(text);
  if (!name || name->get("task") == nullptr) {
    return std::nullopt;
  }
  const std::string* session = person.get("ses");
  return session != nullptr ? name->with("ses", *session) : *name;
}

struct Walk {
  fs::path root;
  HcpScan scan;

  void add_run(const BidsName& person, const std::string& results, const std::string& folder) {
    const std::string base = results + "/" + folder + "/";
    const std::optional<BidsName> run = hcp_run(person, folder);
    if (!run) {
      scan.others.push_back(
          {base, "its name is not that of one acquired run (concatenated runs are not used)"});
      return;
    }
    HcpImage image;
    image.name = run->with("space", "MNI152NLin6Asym").with("desc", "preproc");
    image.path = base + folder + ".nii.gz";
    if (!is_there(root / image.path) && is_there(root / (base + folder + ".nii"))) {
      image.path = base + folder + ".nii";
      image.name = image.name.with_extension(".nii");
    }
    image.absolute = root / image.path;
    image.present = is_there(image.absolute);
    const fs::path here = root / base;
    const fs::path above = (root / results).parent_path();
    image.mask = first_there({here / "brainmask_fs.2.nii.gz", here / "brainmask_fs.2.0.nii.gz",
                              here / "brainmask_fs.1.60.nii.gz", here / "brainmask_fs.1.6.nii.gz",
                              above / "brainmask_fs.2.nii.gz", above / "brainmask_fs.2.0.nii.gz"});
    image.movement_regressors = first_there({here / "Movement_Regressors.txt"});
    scan.images.push_back(std::move(image));
  }

  void add_person(const BidsName& person, const std::string& folder) {
    const std::string results = folder + "/" + kResults;
    for (const std::string& name : folders_in(root / results)) {
      add_run(person, results, name);
    }
  }
};

}  // namespace

std::optional<BidsName> hcp_person(std::string_view folder) {
  BidsName name;
  name.suffix = "bold";
  name.extension = ".nii.gz";
  if (folder.starts_with("sub-")) {
    folder.remove_prefix(4);
    const std::vector<std::string_view> parts = split(folder, '_');
    if (!is_alnum(parts[0]) || parts.size() > 2) {
      return std::nullopt;
    }
    name = name.with("sub", parts[0]);
    if (parts.size() == 2) {
      if (!parts[1].starts_with("ses-") || !is_alnum(parts[1].substr(4))) {
        return std::nullopt;
      }
      name = name.with("ses", parts[1].substr(4));
    }
    return name;
  }
  std::vector<std::string_view> parts = split(folder, '_');
  if (parts.size() > 1 && parts.back() == "MR") {
    parts.pop_back();
  }
  if (parts.size() > 2 || !std::all_of(parts.begin(), parts.end(), is_alnum)) {
    return std::nullopt;
  }
  name = name.with("sub", parts[0]);
  return parts.size() == 2 ? name.with("ses", parts[1]) : name;
}

std::optional<BidsName> hcp_run(const BidsName& person, std::string_view folder) {
  if (folder.find('-') != std::string_view::npos) {
    return entity_style_run(person, folder);
  }
  const std::vector<std::string_view> parts = split(folder, '_');
  const bool is_7t = parts.size() == 4 && parts[2] == "7T";
  if ((parts.size() != 3 && !is_7t) || (parts[0] != "rfMRI" && parts[0] != "tfMRI") || !is_alnum(parts[1])) {
    return std::nullopt;
  }
  const std::string_view direction = parts.back();
  if (direction != "LR" && direction != "RL" && direction != "AP" && direction != "PA") {
    return std::nullopt;
  }
  // REST1 -> task rest, run 1; REST1a (Development) -> the letter tells two short runs apart.
  std::string_view task = parts[1];
  std::string_view letter;
  if (task.size() > 2 && std::islower(static_cast<unsigned char>(task.back())) &&
      is_digit(task[task.size() - 2])) {
    letter = task.substr(task.size() - 1);
    task.remove_suffix(1);
  }
  size_t digits = task.size();
  while (digits > 0 && is_digit(task[digits - 1])) {
    --digits;
  }
  if (digits == 0) {
    return std::nullopt;
  }
  BidsName name = person.with("task", lower(task.substr(0, digits))).with("dir", direction);
  const std::string acquisition = std::string(is_7t ? "7T" : "") + std::string(letter);
  if (!acquisition.empty()) {
    name = name.with("acq", acquisition);
  }
  return digits < task.size() ? name.with("run", task.substr(digits)) : name;
}

HcpScan scan_hcp(const fs::path& root, const std::vector<std::string>& participants) {
  Walk walk{.root = root, .scan = {}};
  std::set<std::string> people;
  for (const std::string& folder : folders_in(root)) {
    const std::optional<BidsName> person = hcp_person(folder);
    if (!person) {
      continue;
    }
    // Other folders (code, docs) have no images; a person's has one of these three forms.
    std::vector<std::pair<BidsName, std::string>> places{{*person, folder}, {*person, folder + "/files"}};
    if (folder.starts_with("sub-")) {
      for (const std::string& session : folders_in(root / folder)) {
        if (session.starts_with("ses-") && is_alnum(std::string_view(session).substr(4))) {
          places.push_back({person->with("ses", session.substr(4)), folder + "/" + session + "/files"});
        }
      }
    }
    std::erase_if(places, [&](const auto& place) {
      std::error_code ignored;
      return !fs::is_directory(root / place.second / "MNINonLinear", ignored);
    });
    if (places.empty()) {
      continue;
    }
    const std::string& label = *person->get("sub");
    people.insert(label);
    if (!participants.empty() &&
        std::find(participants.begin(), participants.end(), label) == participants.end()) {
      continue;
    }
    for (const auto& [name, place] : places) {
      walk.add_person(name, place);
    }
  }
  walk.scan.participants.assign(people.begin(), people.end());
  std::sort(walk.scan.images.begin(), walk.scan.images.end(),
            [](const HcpImage& a, const HcpImage& b) { return a.path < b.path; });
  return std::move(walk.scan);
}

}  // namespace slim::bids
