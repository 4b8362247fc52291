// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "evaluate/metrics.h"

namespace slim::evaluate {

// Note [Bootstrap]. Draw d takes n of n atoms with replacement: bounded(n) words of the stream (seed,
// "bootstrap", 0, d). Atoms are numbered in the order of their keys, so a draw depends on nothing but seed, d
// and n. Methods that are compared, and repeats with other split seeds, see the same draws.

/// How often each of n_atoms atoms occurs in draw d (Note [Bootstrap]).
std::vector<int> draw_counts(uint64_t seed, int64_t draw, int64_t n_atoms);

/// Samples of one repeat (one split seed): the atom of each row, and statistics of any choice of rows. Rows
/// are given in ascending order, one as often as its atom was drawn.
struct Repeat {
  std::vector<int32_t> atom_of_row;
  std::function<std::vector<Value>(std::span<const int32_t> rows)> statistics;
};

/// Statistics of all draws, [draw][statistic]; each is the mean over the repeats in which it is defined.
std::vector<std::vector<Value>> bootstrap_draws(std::span<const Repeat> repeats, int64_t n_atoms,
                                                uint64_t seed, int64_t draws = 2000);

struct Interval {
  Value low, high;
};
/// Percentiles 2.5 and 97.5 (linear between order statistics) of the defined values; n/a when fewer than half
/// are defined.
Interval percentile_interval(std::span<const Value> draws);

/// A difference a - b over paired draws.
struct PairedDifference {
  Interval interval;
  Value p;  // two-sided: 2 min(share <= 0, share >= 0), at least 1 / draws, at most 1
};
PairedDifference paired_difference(std::span<const Value> draws_a, std::span<const Value> draws_b);

/// Holm's correction of the p values of one table, in their order; undefined ones stay so and do not count.
std::vector<Value> holm(std::span<const Value> p);

}  // namespace slim::evaluate
