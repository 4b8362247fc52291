// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "bids/filter.h"
#include "bids/producer.h"

namespace slim::bids {

/// The places that were searched and their verdicts, as one clause.
std::string places_text(const std::vector<SearchedPlace>& searched);

/// What kept a file out of a step: "acq-mb", or "no matching acq" where the file has no such entity.
std::string failing_value(const SelectionStep& step, const BidsFile& file);

}  // namespace slim::bids
