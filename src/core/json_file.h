// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "core/error.h"

namespace slim {

/// Parses strict JSON: no comments, no repeated keys, valid UTF-8, at most 64 levels. Every defect is an
/// Error with `message` that names the file and the byte.
nlohmann::json parse_json(std::string_view text, const std::filesystem::path& name,
                          const Message& message = message::kBadJson);

/// Reads and parses a JSON file. Errors of read_text and parse_json.
nlohmann::json read_json(const std::filesystem::path& path);

}  // namespace slim
