// SPDX-License-Identifier: Apache-2.0
#include "model/regions.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "core/seed.h"

namespace slim::model {
namespace {

/// The first n of a partial Fisher-Yates shuffle.
std::vector<int64_t> drawn(std::vector<int64_t> values, int64_t n, Stream& stream) {
  for (int64_t i = 0; i < n; ++i) {
    const auto rest = static_cast<uint64_t>(static_cast<int64_t>(values.size()) - i);
    std::swap(values[static_cast<size_t>(i)], values[static_cast<size_t>(i) + stream.bounded(rest)]);
  }
  values.resize(static_cast<size_t>(n));
  return values;
}

int64_t squared_distance(int64_t a, int64_t b) {
  const auto square = [](int64_t x) { return x * x; };
  return square(a / 9 - b / 9) + square(a / 3 % 3 - b / 3 % 3) + square(a % 3 - b % 3);
}

/// A location and its n - 1 nearest; ties by index.
std::vector<int64_t> nearest(std::vector<int64_t> locations, int64_t centre, int64_t n) {
  std::stable_sort(locations.begin(), locations.end(), [centre](int64_t a, int64_t b) {
    return squared_distance(a, centre) < squared_distance(b, centre);
  });
  locations.resize(static_cast<size_t>(n));
  return locations;
}

bool holds(const std::vector<int64_t>& values, int64_t value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

ContextShape context_shape_from(std::string_view name) {
  if (name == "scattered" || name == "block") {
    return name == "block" ? ContextShape::Block : ContextShape::Scattered;
  }
  throw Error(message::kBadValue, "There is no context shape \"" + std::string(name) + "\".",
              {.expected = "scattered or block"});
}

std::vector<int64_t> Regions::all_targets() const {
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& region : targets) {
    all.insert(all.end(), region.begin(), region.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<int64_t> existing_locations(const LayoutOptions& options) {
  LayoutOptions one_clip = options;
  one_clip.clips = 1;
  one_clip.mask_units.clear();
  const TokenLayout layout(one_clip);
  std::vector<int64_t> locations;
  for (const TokenLayout::Location& location : layout.locations()) {
    locations.push_back(location.location);
  }
  return locations;
}

int64_t draw_time_blocks(const RegionOptions& options, uint64_t seed, uint64_t epoch, uint64_t step) {
  return options.time_blocks[Stream(seed, "jepa_blocks", epoch, step).bounded(options.time_blocks.size())];
}

int64_t context_locations(const RegionOptions& options, int64_t time_blocks, int64_t locations) {
  const double share =
      options.context_share * static_cast<double>(kTimeBlocks * locations) / static_cast<double>(time_blocks);
  return std::clamp<int64_t>(static_cast<int64_t>(std::floor(share + 1e-9)), 1, locations - 1);
}

Regions draw_regions(const RegionOptions& options, int64_t time_blocks, const std::vector<int64_t>& locations,
                     uint64_t seed, uint64_t epoch, uint64_t position) {
  if (locations.size() < 2 || time_blocks < 1 || time_blocks >= kTimeBlocks) {
    throw Error(message::kBadValue,
                "The regions of JEPA need at least 2 locations and 1 to 4 time blocks of context.",
                {.found = std::to_string(locations.size()) + " locations, " + std::to_string(time_blocks) +
                          " time blocks"});
  }
  Stream stream(seed, "jepa_mask", epoch, position);
  const auto first =
      static_cast<int64_t>(stream.bounded(static_cast<uint64_t>(kTimeBlocks + 1 - time_blocks)));
  const int64_t n = context_locations(options, time_blocks, static_cast<int64_t>(locations.size()));
  std::vector<int64_t> blocks;
  for (int64_t i = 0; i < time_blocks; ++i) {
    blocks.push_back(first + i);
  }
  if (options.shape == ContextShape::Block) {
    return regions_of(blocks, nearest(locations, locations[stream.bounded(locations.size())], n), locations);
  }
  return regions_of(blocks, drawn(locations, n, stream), locations);
}

Regions regions_of(const std::vector<int64_t>& time_blocks, const std::vector<int64_t>& chosen,
                   const std::vector<int64_t>& locations) {
  Regions regions;
  for (int64_t block = 0; block < kTimeBlocks; ++block) {
    for (const int64_t location : locations) {
      const bool same_time = holds(time_blocks, block), same_place = holds(chosen, location);
      const TargetRegion target = same_place  ? TargetRegion::CrossTime
                                  : same_time ? TargetRegion::CrossLocation
                                              : TargetRegion::DoubleCross;
      (same_time && same_place ? regions.context : regions.targets[static_cast<size_t>(target)])
          .push_back(block * kLocations + location);
    }
  }
  return regions;
}

std::vector<int64_t> draw_visible_units(double share, const std::vector<int64_t>& locations, uint64_t seed,
                                        uint64_t epoch, uint64_t position) {
  std::vector<int64_t> units;
  for (int64_t block = 0; block < kTimeBlocks; ++block) {
    for (const int64_t location : locations) {
      units.push_back(block * kLocations + location);
    }
  }
  const auto all = static_cast<int64_t>(units.size());
  const auto n = std::clamp<int64_t>(
      static_cast<int64_t>(std::floor(share * static_cast<double>(all) + 1e-9)), 1, all - 1);
  Stream stream(seed, "visible_units", epoch, position);
  std::vector<int64_t> visible = drawn(std::move(units), n, stream);
  std::sort(visible.begin(), visible.end());
  return visible;
}

}  // namespace slim::model
