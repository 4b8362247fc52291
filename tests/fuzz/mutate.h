// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/seed.h"

namespace slim::fuzz {

/// The largest input that is made.
inline constexpr size_t kMaxInput = 1 << 16;

/// A changed copy of one of `corpus`: one to eight of flips, interesting numbers, removed, repeated and
/// inserted pieces, words, pieces of other inputs, cut ends. A function of the stream alone.
std::string mutate(const std::vector<std::string>& corpus, const std::vector<std::string>& words,
                   Stream& stream);

}  // namespace slim::fuzz
