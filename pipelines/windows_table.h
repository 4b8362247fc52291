// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "clips/clip_store.h"
#include "clips/ranking.h"

namespace slim::pipelines {

/// The table of windows, and the clips back from one. Error SB2003 for a table that gives none.
std::string windows_table(const std::vector<clips::RankedPiece>& pieces, const clips::ClipStore& store);
std::vector<clips::ClipFrames> clips_of_table(const std::filesystem::path& path);

}  // namespace slim::pipelines
