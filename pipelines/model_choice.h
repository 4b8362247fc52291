// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "core/log.h"
#include "pipelines/config.h"

namespace slim::pipelines {

/// Checks, before any work, that the call's model is there and fits and that the device can be used;
/// returns the settled device ("cpu", "cuda:0"). Errors SB4001, SB4002, SB4003.
std::string check_model(const Config& config, const std::filesystem::path& out_dir, Log& log);

/// The model folder that --model means: a path, or a name looked up in OUT_DIR/models and each folder of
/// $SLIMBRAIN_MODELS. Error SB4001 naming what was searched.
std::filesystem::path find_model(const std::string& model, const std::filesystem::path& out_dir);

}  // namespace slim::pipelines
