// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace slim::fuzz {

/// Forgets the edges of the last input.
void start_coverage();
/// Whether the last input took an edge, or a number of times through one, that no earlier input took.
bool found_new_coverage();
/// Distinct (edge, count class) pairs seen so far.
int coverage_size();

}  // namespace slim::fuzz
