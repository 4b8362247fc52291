// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

#include "bids/bids_dataset.h"
#include "bids/bids_name.h"

namespace slim::bids {

/// Every entity of the candidate stands in the file's name with the same value.
bool entities_apply(const BidsName& candidate, const BidsName& file);

/// The one file among those of one folder that applies to a file: the wanted suffix and extension, only
/// entities of the file; nullptr when none does. Error SB2004 when several do; with `exact_wins` the one with
/// all the file's entities is taken then.
const BidsFile* applicable(std::span<const BidsFile* const> folder, const BidsFile& file,
                           std::string_view suffix, std::string_view extension, bool exact_wins);

/// Keys of the deeper object replace those of the outer one as a whole.
void merge_metadata(nlohmann::json& outer, const nlohmann::json& deeper);

}  // namespace slim::bids
