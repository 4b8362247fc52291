// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "core/log.h"
#include "pipelines/config.h"

namespace slim::pipelines {

/// What a call knows of its model before any work.
struct CheckedModel {
  std::string device;     // settled: "cpu", "cuda:0"
  bool predicts = false;  // it has a head that says what it predicts
};
/// Checks, before any work, that the call's model is there and fits, that it predicts something where that is
/// needed, and that the device can be used. Errors SB4001, SB4002, SB4003; SB1002 for a class that it does
/// not know.
CheckedModel check_model(const Config& config, const std::filesystem::path& out_dir, bool must_predict,
                         Log& log);

/// The model folder that --model means: a path, or a name looked up in OUT_DIR/models and each folder of
/// $SLIMBRAIN_MODELS. Error SB4001 naming what was searched.
std::filesystem::path find_model(const std::string& model, const std::filesystem::path& out_dir);

}  // namespace slim::pipelines
