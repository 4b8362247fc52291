// SPDX-License-Identifier: Apache-2.0
#include "bids/sidecar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"

namespace slim::bids {
namespace {

using nlohmann::json;

constexpr double kEvenSpacing_s = 1e-3;

std::string number_text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

[[noreturn]] void refuse_timing(std::string_view file, std::string sentence) {
  throw Error(message::kNoRepetitionTime, std::move(sentence),
              {.file = std::string(file), .remedy = "mend the sidecar or pass --repetition-time"});
}

std::optional<double> repetition_time(const json& metadata, std::string_view file) {
  const auto entry = metadata.find("RepetitionTime");
  if (entry == metadata.end() || entry->is_null()) return std::nullopt;
  const double value = entry->is_number() ? entry->get<double>() : 0;
  if (!(value > 0) || !std::isfinite(value)) {
    refuse_timing(file, "RepetitionTime is " + entry->dump(-1, ' ', true, json::error_handler_t::replace) +
                            "; a positive number of seconds is expected.");
  }
  return value;
}

/// The interval of evenly spaced volume onsets.
std::optional<double> volume_spacing(const json& metadata, std::string_view file) {
  const auto entry = metadata.find("VolumeTiming");
  if (entry == metadata.end() || entry->is_null()) return std::nullopt;
  const bool is_list =
      entry->is_array() && entry->size() >= 2 &&
      std::all_of(entry->begin(), entry->end(), [](const json& onset) { return onset.is_number(); });
  if (!is_list) refuse_timing(file, "VolumeTiming is not a list of at least two numbers.");
  const double first = entry->front().get<double>(), last = entry->back().get<double>();
  const double spacing = (last - first) / static_cast<double>(entry->size() - 1);
  if (!(spacing > 0) || !std::isfinite(spacing)) refuse_timing(file, "VolumeTiming does not rise.");
  for (size_t i = 1; i < entry->size(); ++i) {
    const double step = (*entry)[i].get<double>() - (*entry)[i - 1].get<double>();
    if (!(std::abs(step - spacing) <= kEvenSpacing_s)) {
      refuse_timing(file, "VolumeTiming is uneven: volumes " + std::to_string(i - 1) + " and " +
                              std::to_string(i) + " are " + number_text(step) +
                              " s apart, on average they are " + number_text(spacing) + " s.");
    }
  }
  return spacing;
}

}  // namespace

bool entities_apply(const BidsName& candidate, const BidsName& file) {
  return std::all_of(candidate.entities.begin(), candidate.entities.end(), [&](const auto& entity) {
    const std::string* value = file.get(entity.first);
    return value && *value == entity.second;
  });
}

const BidsFile* applicable(std::span<const BidsFile* const> folder, const BidsFile& file,
                           std::string_view suffix, std::string_view extension, bool exact_wins) {
  const BidsFile* found = nullptr;
  const BidsFile* second = nullptr;
  for (const BidsFile* candidate : folder) {
    const BidsName& name = candidate->name;
    if (name.suffix != suffix || name.extension != extension || !entities_apply(name, file.name)) continue;
    if (exact_wins && name.entities.size() == file.name.entities.size()) return candidate;
    if (found)
      second = candidate;
    else
      found = candidate;
  }
  if (second == nullptr) return found;
  throw Error(message::kTwoSidecars,
              "Two sidecars in one folder apply to this file: " + found->path + ", " + second->path +
                  "; only one may.",
              {.file = file.path});
}

void merge_metadata(json& outer, const json& deeper) { outer.update(deeper); }

BoldMetadata bold_metadata(const json& metadata, std::string_view file) {
  BoldMetadata result;
  if (!metadata.is_object()) return result;
  result.repetition_time_s = repetition_time(metadata, file);
  const std::optional<double> spacing = volume_spacing(metadata, file);
  if (result.repetition_time_s && spacing &&
      std::abs(*spacing - *result.repetition_time_s) > kEvenSpacing_s) {
    refuse_timing(file, "RepetitionTime is " + number_text(*result.repetition_time_s) +
                            " s, but VolumeTiming gives " + number_text(*spacing) + " s.");
  }
  if (!result.repetition_time_s) result.repetition_time_s = spacing;
  if (const auto entry = metadata.find("StartTime"); entry != metadata.end() && entry->is_number()) {
    result.start_time_s = entry->get<double>();
  }
  if (const auto entry = metadata.find("TaskName"); entry != metadata.end() && entry->is_string()) {
    result.task_name = entry->get<std::string>();
  }
  if (const auto entry = metadata.find("SkullStripped"); entry != metadata.end() && entry->is_boolean()) {
    result.skull_stripped = entry->get<bool>();
  }
  return result;
}

}  // namespace slim::bids
