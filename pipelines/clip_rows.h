// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "clips/clip_store.h"
#include "clips/window.h"

namespace slim::pipelines {

// What the tables whose rows are clips (embeddings, predictions) or windows have in common.

/// "%.9g": float32 values come back bit for bit.
std::string number_cell(double value);

/// Onset and duration of a clip, or of the whole run when `clip` is empty: two cells of a table, in s.
std::string time_cells(const clips::ClipStore& store, const clips::ClipFrames& clip = {});

/// Descriptions of the columns level, clip, onset and duration; `run` says what the row of level run is.
nlohmann::json clip_column_descriptions(const std::string& run);

}  // namespace slim::pipelines
