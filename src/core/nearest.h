// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace slim {

/// Fewest single-character insertions, deletions and substitutions that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that a mistyped word most likely meant (first of equals); empty when there are no
/// candidates.
std::string nearest(std::string_view word, std::span<const std::string> candidates);
std::string nearest(std::string_view word, std::span<const std::string_view> candidates);

/// Up to `count` candidates, nearest first, equals in the order given.
std::vector<std::string> nearest_few(std::string_view word, std::span<const std::string> candidates,
                                     size_t count);

}  // namespace slim
