// SPDX-License-Identifier: Apache-2.0
#include "bids/producer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "bids/text_file.h"
#include "core/error.h"
#include "core/json_file.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::bids {
namespace {

constexpr size_t kFoldersLookedInto = 200;  // a layout shows in the first participants

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return result;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// Names of the folders inside a folder, sorted, hidden ones left out; empty when it cannot be listed.
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

bool is_hcp_layout(const fs::path& root) {
  const fs::path results = fs::path("MNINonLinear") / "Results";
  size_t looked = 0;
  for (const std::string& name : folders_in(root)) {
    if (++looked > kFoldersLookedInto) {
      break;
    }
    const fs::path folder = root / name;
    if (is_folder(folder / results) || is_folder(folder / "files" / results)) {
      return true;
    }
    if (!name.starts_with("sub-")) {
      continue;
    }
    for (const std::string& session : folders_in(folder)) {
      if (session.starts_with("ses-") && is_folder(folder / session / "files" / results)) {
        return true;
      }
    }
  }
  return false;
}

bool is_ukb_layout(const fs::path& root) {
  const std::vector<std::string> names = folders_in(root);
  return std::any_of(names.begin(),
                     names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kFoldersLookedInto)),
                     [&](const std::string& name) { return is_folder(root / name / "fMRI" / "rfMRI.ica"); });
}

std::string text_at(const json& object, const char* key) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::string generator_of(const json& description) {
  if (!description.is_object()) {
    return {};
  }
  if (const auto made = description.find("GeneratedBy");
      made != description.end() && made->is_array() && !made->empty()) {
    return text_at(made->front(), "Name");
  }
  if (const auto pipeline = description.find("PipelineDescription"); pipeline != description.end()) {
    return text_at(*pipeline, "Name");  // before BIDS 1.4
  }
  return {};
}

// Reads the description; says in the verdict when that fails.
json read_description(const fs::path& folder, std::string* verdict) {
  const fs::path path = folder / "dataset_description.json";
  std::error_code ignored;
  if (fs::symlink_status(path, ignored).type() == fs::file_type::not_found) {
    *verdict = "no dataset_description.json";
    return nullptr;
  }
  try {
    json description = parse_json(read_dataset_text(path), path);
    if (description.is_object()) {
      return description;
    }
  } catch (const Error&) {
  }
  *verdict = "its dataset_description.json cannot be read as a JSON object";
  return nullptr;
}

Recognition input(Recognition result, Producer producer, std::string verdict) {
  result.kind = Recognition::Kind::Input;
  result.producer = producer;
  result.verdict = std::move(verdict);
  return result;
}

bool made_by_fmriprep_like(const std::string& generator) {
  constexpr std::array<std::string_view, 3> kNames{"fmriprep", "nibabies", "deepprep"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view name) { return generator.starts_with(name); });
}

bool legal_dataset_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c < 128 && (std::isalnum(c) || c == '-' || c == '_' || c == '.');
  });
}

std::string dataset_name_from(const std::string& text) {
  std::string name;
  for (const char c : text) {
    if (legal_dataset_name(std::string_view(&c, 1))) {
      name += c;
    }
  }
  return name.empty() || name == "raw" ? "input" : name;
}

}  // namespace

std::string_view producer_name(Producer producer) {
  switch (producer) {
    case Producer::Raw:
      return "raw";
    case Producer::Fmriprep:
      return "fmriprep";
    case Producer::Hcp:
      return "hcp";
    case Producer::Derivative:
      return "derivative";
  }
  throw Error(message::kBug, "A producer has no name.");
}

InputType parse_input_type(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, InputType>, 6> kTypes{
      {{"auto", InputType::Auto},
       {"raw", InputType::Raw},
       {"fmriprep", InputType::Fmriprep},
       {"hcp", InputType::Hcp},
       {"ukb", InputType::Ukb},
       {"derivative", InputType::Derivative}}};
  for (const auto& [name, type] : kTypes) {
    if (text == name) {
      return type;
    }
  }
  throw Error(message::kBadValue, "--input-type " + std::string(text) +
                                      " is not valid: use auto, raw, fmriprep, hcp, ukb or derivative.");
}

Recognition recognise(const fs::path& folder) {
  using Kind = Recognition::Kind;
  Recognition result;
  result.description = std::make_shared<const json>(nullptr);
  if (!is_folder(folder)) {
    result.verdict = "no such folder";
    return result;
  }
  std::string trouble;
  result.description = std::make_shared<const json>(read_description(folder, &trouble));
  const json& description = *result.description;
  result.made_by = generator_of(description);
  const std::string generator = lower(result.made_by);
  const std::string type = text_at(description, "DatasetType");
  const std::string by = result.made_by.empty() ? "a program it does not name" : result.made_by;
  result.denoised = generator.starts_with("xcp");
  result.old_dcan =
      generator.find("dcan") != std::string::npos || generator.find("abcd-hcp") != std::string::npos;
  if (generator == "slimbrain") {
    result.kind = Kind::OwnOutput;
    result.verdict = "an output of slimbrain itself";
  } else if (made_by_fmriprep_like(generator)) {
    result = input(std::move(result), Producer::Fmriprep, "made by " + by);
  } else if (is_hcp_layout(folder)) {
    result = input(std::move(result), Producer::Hcp, "an HCP-style folder");
  } else if (type == "study" || (is_folder(folder / "rawbids") && is_folder(folder / "derivatives"))) {
    result.kind = Kind::Study;
    result.verdict = "a study root";
  } else if (is_ukb_layout(folder)) {
    result.kind = Kind::Ukb;
    result.verdict = "a UK Biobank folder, whose images need a warp that this version does not apply";
  } else if (type == "derivative" ||
             (description.is_object() && description.contains("PipelineDescription"))) {
    result = input(std::move(result), Producer::Derivative, "a derivative made by " + by);
  } else if (description.is_object()) {
    result.kind = Kind::Raw;
    result.verdict = "a raw dataset";
  } else {
    result.verdict = trouble;
  }
  return result;
}

BoldNames probe_bold_names(const fs::path& folder) {
  BoldNames found = BoldNames::None;
  size_t looked = 0;
  const auto look = [&](const fs::path& func) {
    std::error_code error;
    for (fs::directory_iterator it(func, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (name.find("_bold_space-") != std::string::npos ||
          name.find("_bold_confounds") != std::string::npos) {
        found = BoldNames::OldFmriprep;
      } else if (name.find("_space-") != std::string::npos && name.find("_bold.nii") != std::string::npos) {
        found = BoldNames::Placed;
        return;
      }
    }
  };
  for (const std::string& name : folders_in(folder)) {
    if (!name.starts_with("sub-") || ++looked > kFoldersLookedInto) {
      continue;
    }
    look(folder / name / "func");
    for (const std::string& session : folders_in(folder / name)) {
      if (session.starts_with("ses-")) {
        look(folder / name / session / "func");
      }
    }
    if (found == BoldNames::Placed) {
      break;
    }
  }
  return found;
}

NamedPath parse_named_path(std::string_view text) {
  const size_t equals = text.find('=');
  const bool named =
      equals != std::string_view::npos && text.substr(0, equals).find('/') == std::string_view::npos;
  NamedPath result;
  result.path = fs::path(named ? text.substr(equals + 1) : text);
  if (named) {
    result.name = text.substr(0, equals);
  } else if (!result.path.empty()) {
    const fs::path plain = fs::absolute(result.path).lexically_normal();
    result.name = dataset_name_from(plain.has_filename() ? plain.filename().string()
                                                         : plain.parent_path().filename().string());
  }
  if (result.path.empty() || !legal_dataset_name(result.name) || result.name == "raw") {
    throw Error(
        message::kBadValue,
        "--derivatives " + std::string(text) +
            " is not valid: use NAME=PATH, with a NAME of letters, digits, '-', '_' and '.' other than raw.");
  }
  return result;
}

}  // namespace slim::bids
