// SPDX-License-Identifier: Apache-2.0
#include "pipelines/config.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "core/error.h"
#include "core/json_file.h"
#include "core/nearest.h"

extern char** environ;

namespace slim::pipelines {
namespace {

constexpr int kRecipeFormat = 1;
// Read elsewhere, not fields.
const std::set<std::string> kOtherVariables{"SLIMBRAIN_MODELS", "SLIMBRAIN_CONTAINER_URI",
                                            "SLIMBRAIN_CONTAINER_TAG", "SLIMBRAIN_CONTAINER_DIGEST",
                                            "SLIMBRAIN_CONTAINER_TYPE"};

std::string variable_of(const Field& field) {
  std::string name = "SLIMBRAIN_" + field.key;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
  return name;
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) {
      words.push_back(text.substr(at, comma - at));
    }
    at = comma + 1;
  }
  return words;
}

}  // namespace

std::vector<Field> config_fields(Config& config) {
  std::vector<Field> fields;
  list_fields(config, "", Role::Science, fields);
  return fields;
}

void apply_config_file(const std::vector<Field>& fields, const std::string& path, Origins& origins) {
  nlohmann::json recipe = read_json(path);
  if (recipe.is_object() && recipe.contains("slimbrain_record") && recipe.contains("config")) {
    recipe = recipe["config"];  // a run record replays its call's settings
  } else if (recipe.is_object() && recipe.contains("slimbrain_config")) {
    if (recipe["slimbrain_config"] != kRecipeFormat) {
      throw Error(
          message::kBadValue,
          "The recipe has format " + recipe["slimbrain_config"].dump() + "; this program reads 1.",
          {.file = path, .remedy = "use a newer slimbrain, or write the recipe anew with --print-config"});
    }
    recipe.erase("slimbrain_config");
  } else {
    throw Error(message::kUnknownKey, "This is not a recipe: the key slimbrain_config is missing.",
                {.file = path, .expected = "{\"slimbrain_config\": 1, \"prep\": {...}}"});
  }
  if (recipe.is_object() && recipe.contains("run")) {
    throw Error(message::kUnknownKey, "A recipe has no section run: it says what, not when.", {.file = path});
  }
  for (const std::string& done : fields_from_json(fields, recipe, path)) {
    origins[done] = "file " + path;
  }
}

std::vector<std::string> apply_environment(const std::vector<Field>& fields, Origins& origins) {
  std::vector<std::string> warnings;
  std::vector<std::string> known(kOtherVariables.begin(), kOtherVariables.end());
  for (const Field& field : fields) {
    known.push_back(variable_of(field));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (!name.starts_with("SLIMBRAIN_") || kOtherVariables.contains(name)) {
      continue;
    }
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return variable_of(f) == name; });
    if (field == fields.end()) {
      warnings.push_back("The environment variable " + name +
                         " is unknown and has no effect; the nearest is " + nearest(name, known) + ".");
      continue;
    }
    const std::string value = text.substr(equals + 1);
    field->set(
        value_from_words(*field, field->type == "list" ? split_commas(value) : std::vector{value}, name),
        name);
    origins[field->path] = "environment " + name;
  }
  return warnings;
}

nlohmann::json science_of(const std::vector<Field>& fields, const std::string& section) {
  const nlohmann::json all = fields_to_json(fields, Role::Science);
  return all.value(section, nlohmann::json::object());
}

}  // namespace slim::pipelines
