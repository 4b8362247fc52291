// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/token_layout.h"

namespace slim::model {

/// How the locations of a context lie: anywhere, or one and its nearest.
enum class ContextShape { Scattered, Block };
/// `scattered` or `block`; anything else is Error SB1002.
ContextShape context_shape_from(std::string_view name);

/// How much of a clip is context.
struct RegionOptions {
  double context_share = 0.30;
  std::array<int64_t, 2> time_blocks{2, 3};  // one of them, drawn once a step
  ContextShape shape = ContextShape::Scattered;
};

/// What is predicted, in the order of every array of three.
enum class TargetRegion { CrossTime, CrossLocation, DoubleCross };
inline constexpr size_t kTargetRegions = 3;
inline constexpr std::array<std::string_view, kTargetRegions> kRegionNames{"cross_time", "cross_location",
                                                                           "double_cross"};

// Note [Regions]. A clip is 5 time blocks x F locations. The context is a product of some time blocks and
// some locations; the rest falls into three: the same locations at other times, other locations at the same
// times, and both other. Draws are pure functions of (seed, epoch, step or position), so the number of
// workers and of ranks changes none.
/// The mask units of one clip by role, each ascending; disjoint, together all that exist.
struct Regions {
  std::vector<int64_t> context;
  std::array<std::vector<int64_t>, kTargetRegions> targets;
  /// The three target regions together, ascending.
  std::vector<int64_t> all_targets() const;
};

/// The locations that hold a token in a mode, ascending.
std::vector<int64_t> existing_locations(const LayoutOptions& options);

/// Time blocks of the context of all clips of one optimiser step.
int64_t draw_time_blocks(const RegionOptions& options, uint64_t seed, uint64_t epoch, uint64_t step);

/// Locations of the context: clamp(floor(share * 5 F / time blocks), 1, F - 1).
int64_t context_locations(const RegionOptions& options, int64_t time_blocks, int64_t locations);

/// The regions of one clip; position = clip position in the epoch * masks_per_clip + mask. Error SB1002 with
/// fewer than 2 locations or time blocks outside 1..4.
Regions draw_regions(const RegionOptions& options, int64_t time_blocks, const std::vector<int64_t>& locations,
                     uint64_t seed, uint64_t epoch, uint64_t position);

/// The regions of a context given by its time blocks and locations.
Regions regions_of(const std::vector<int64_t>& time_blocks, const std::vector<int64_t>& chosen,
                   const std::vector<int64_t>& locations);

/// Visible mask units of MAE, ascending: floor(share * 5 F) drawn without structure, stream (seed,
/// "visible_units", epoch, position).
std::vector<int64_t> draw_visible_units(double share, const std::vector<int64_t>& locations, uint64_t seed,
                                        uint64_t epoch, uint64_t position);

}  // namespace slim::model
