// SPDX-License-Identifier: Apache-2.0
#include "pipelines/atlas.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <optional>

#include "bids/bids_name.h"
#include "bids/space_choice.h"
#include "bids/tsv.h"
#include "core/error.h"
#include "core/slim_grid.h"
#include "image/nifti_io.h"
#include "preproc/lattice.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

constexpr const char* kGridName = "grid";
constexpr float kLargestLabel = 16'777'216.0F;  // up to here float32 holds every whole number

struct NamedFile {
  std::string name;
  fs::path path;
};

NamedFile parse_named_file(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string name(text.substr(0, equals));
  const bool legal = !name.empty() && name != kGridName && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
  });
  if (equals == std::string_view::npos || equals + 1 == text.size() || !legal) {
    throw Error(message::kBadValue,
                "--atlas " + std::string(text) +
                    " is not valid: use NAME=FILE, with a NAME of letters and digits other "
                    "than grid.");
  }
  return {.name = name, .path = fs::path(text.substr(equals + 1))};
}

/// A NIfTI header does not say in which space an image lies; only a BIDS name can speak against MNI.
void refuse_other_space(const fs::path& path) {
  const std::optional<bids::BidsName> name = bids::BidsName::parse(path.filename().string());
  for (const char* key : {"space", "tpl"}) {
    const std::string* space = name ? name->get(key) : nullptr;
    if (space != nullptr && !bids::usable_space(*space, bids::SpaceDialect::Dcan)) {
      throw Error(message::kNoUsableSpace, "The label image lies in space " + *space + ".",
                  {.file = path.string(), .expected = "an MNI152NLin6Asym or MNI152NLin2009 space"});
    }
  }
}

int32_t label_of(float value, const fs::path& path) {
  if (!(std::fabs(value) <= kLargestLabel) || value != std::floor(value)) {
    throw Error(message::kBadValues, "The label image holds a value that is no label.",
                {.file = path.string(),
                 .expected = "whole numbers, at most 16777216",
                 .found = std::to_string(value),
                 .remedy = "give a discrete segmentation (dseg), no probability map"});
  }
  return static_cast<int32_t>(value);
}

std::vector<int32_t> labels_on_grid(const fs::path& path) {
  const image::Volume volume = image::read_volume(path);
  std::vector<int32_t> stored(volume.values.size());
  std::transform(volume.values.begin(), volume.values.end(), stored.begin(),
                 [&](float value) { return label_of(value, path); });
  std::vector<int32_t> labels;
  labels.reserve(static_cast<size_t>(kSlimVoxels));
  for (const int32_t from : preproc::nearest_table(volume.grid, preproc::all_slim_indices())) {
    labels.push_back(from < 0 ? 0 : stored[static_cast<size_t>(from)]);
  }
  return labels;
}

/// The table beside dseg.nii.gz is dseg.tsv.
fs::path table_of(const fs::path& image) {
  std::string text = image.string();
  for (const std::string_view ending : {".gz", ".nii"}) {
    if (text.ends_with(ending)) {
      text.resize(text.size() - ending.size());
    }
  }
  return text + ".tsv";
}

std::map<int32_t, std::string> names_in(const fs::path& path) {
  std::map<int32_t, std::string> names;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return names;
  }
  const bids::Table table = bids::read_tsv(path, {.unique_column = "index"});
  if (!table.column("name")) {
    throw Error(message::kBadTable, "The table of regions needs the columns index and name.",
                {.file = path.string()});
  }
  for (size_t row = 0; row < table.rows.size(); ++row) {
    const std::optional<double> index = bids::to_number(*table.cell(row, "index"));
    if (!index || std::fabs(*index) > kLargestLabel || *index != std::floor(*index)) {
      throw Error(message::kBadTable, "The table of regions has an index that is no whole number.",
                  {.file = path.string(), .found = *table.cell(row, "index")});
    }
    if (!bids::is_missing(*table.cell(row, "name"))) {
      names.emplace(static_cast<int32_t>(*index), *table.cell(row, "name"));
    }
  }
  return names;
}

Atlas named(clips::RoiLabels labels, const std::map<int32_t, std::string>& known,
            const std::string& else_called) {
  Atlas atlas{.labels = std::move(labels), .names = {}};
  for (const int32_t label : atlas.labels.labels) {
    const auto found = known.find(label);
    atlas.names.emplace(label, found == known.end() ? else_called + std::to_string(label) : found->second);
  }
  return atlas;
}

}  // namespace

Atlas read_atlas(std::string_view named_file) {
  const auto [name, path] = parse_named_file(named_file);
  refuse_other_space(path);
  return within("--atlas " + name, [&, &name = name, &path = path] {
    clips::RoiLabels labels = clips::label_parcellation(name, labels_on_grid(path));
    if (std::accumulate(labels.stored_voxels.begin(), labels.stored_voxels.end(), int64_t{0}) == 0) {
      throw Error(message::kTemplateMismatch, "No label of the image lies in the brain of the SLIM grid.",
                  {.file = path.string(), .remedy = "check that it lies in MNI space"});
    }
    return named(std::move(labels), names_in(table_of(path)), "region");
  });
}

std::vector<Atlas> atlases_of(const Config& config) {
  if (config.embed.atlas.empty()) {
    return {named(clips::grid_parcellation(), {}, "cell")};
  }
  std::vector<Atlas> atlases;
  for (const std::string& text : config.embed.atlas) {
    Atlas atlas = read_atlas(text);
    if (std::any_of(atlases.begin(), atlases.end(),
                    [&](const Atlas& one) { return one.labels.name == atlas.labels.name; })) {
      throw Error(message::kBadValue, "--atlas " + atlas.labels.name + " is given twice.");
    }
    atlases.push_back(std::move(atlas));
  }
  return atlases;
}

}  // namespace slim::pipelines
