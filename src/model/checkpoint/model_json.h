// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/checkpoint/model_folder.h"

namespace slim::model {

/// Texts of config.json, model.json, README.md.
std::string config_text(const ModelConfig& config);
std::string card_text(const ModelCard& card);
std::string readme_text(const ModelConfig& config, const ModelCard& card);

/// Reads them back. Error SB4002 for unknown or missing keys and impossible values; `file` stands in errors.
ModelConfig config_from(const nlohmann::json& json, const std::filesystem::path& file);
ModelCard card_from(const nlohmann::json& json, const std::filesystem::path& file);

}  // namespace slim::model
