// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "model/regions.h"

namespace slim::model {
namespace {

TEST(Regions, AreDisjointCoverAllMaskUnitsAndHaveThePublishedSizes) {
  std::vector<int64_t> all(27);
  std::iota(all.begin(), all.end(), 0);
  const std::map<int64_t, std::pair<int64_t, int64_t>> context{
      {27, {20, 13}}, {26, {19, 13}}, {20, {15, 10}}, {5, {3, 2}}};
  for (const auto& [count, sizes] : context) {
    const std::vector<int64_t> locations(all.end() - count, all.end());
    for (const int64_t time_blocks : {2, 3}) {
      const int64_t chosen = time_blocks == 2 ? sizes.first : sizes.second;
      EXPECT_EQ(context_locations({}, time_blocks, count), chosen);
      for (const ContextShape shape : {ContextShape::Scattered, ContextShape::Block}) {
        for (uint64_t position = 0; position < 40; ++position) {
          const Regions regions = draw_regions({.shape = shape}, time_blocks, locations, 1, 2, position);
          EXPECT_EQ(static_cast<int64_t>(regions.context.size()), time_blocks * chosen);
          EXPECT_EQ(static_cast<int64_t>(regions.targets[0].size()), (5 - time_blocks) * chosen);
          EXPECT_EQ(static_cast<int64_t>(regions.targets[1].size()), time_blocks * (count - chosen));
          EXPECT_EQ(static_cast<int64_t>(regions.targets[2].size()), (5 - time_blocks) * (count - chosen));
          std::set<int64_t> seen(regions.context.begin(), regions.context.end());
          size_t units = seen.size();
          for (const auto& region : regions.targets) {
            EXPECT_TRUE(std::is_sorted(region.begin(), region.end()));
            seen.insert(region.begin(), region.end());
            units += region.size();
          }
          EXPECT_EQ(units, seen.size()) << "regions overlap";
          EXPECT_EQ(static_cast<int64_t>(seen.size()), 5 * count);
          EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [&](int64_t unit) {
            return unit >= 0 && unit < kMaskUnits &&
                   std::find(locations.begin(), locations.end(), unit % 27) != locations.end();
          }));
        }
      }
    }
  }
}

TEST(Regions, AreAFunctionOfTheirPlaceAloneAndDiffer) {
  const std::vector<int64_t> locations = existing_locations({});
  ASSERT_EQ(locations.size(), 27u);
  std::set<std::vector<int64_t>> contexts;
  for (uint64_t position = 0; position < 50; ++position) {
    const Regions first = draw_regions({}, 2, locations, 5, 6, position);
    EXPECT_EQ(first.context, draw_regions({}, 2, locations, 5, 6, position).context);
    contexts.insert(first.context);
  }
  EXPECT_EQ(contexts.size(), 50u);
  std::set<int64_t> lengths;
  for (uint64_t step = 0; step < 20; ++step) {
    lengths.insert(draw_time_blocks({}, 5, 6, step));
  }
  EXPECT_EQ(lengths, (std::set<int64_t>{2, 3}));
}

TEST(Regions, ABlockIsOneLocationAndItsNearest) {
  const std::vector<int64_t> locations = existing_locations({});
  std::set<std::vector<int64_t>> shapes;
  for (uint64_t position = 0; position < 200; ++position) {
    const Regions regions =
        draw_regions({.context_share = 0.03 * 4, .shape = ContextShape::Block}, 4, locations, 0, 0, position);
    // floor(0.12 * 135 / 4) = 4 locations: a corner and its three neighbours, or a centre and the first ties.
    std::set<int64_t> chosen;
    for (const int64_t unit : regions.context) {
      chosen.insert(unit % 27);
    }
    ASSERT_EQ(chosen.size(), 4u);
    shapes.insert({chosen.begin(), chosen.end()});
  }
  EXPECT_TRUE(shapes.contains({0, 1, 3, 9})) << "around the first corner";
  EXPECT_TRUE(shapes.contains({4, 10, 12, 13})) << "around the centre, ties by index";
  EXPECT_LE(shapes.size(), 27u);
}

TEST(Mae, SeesThirtyPercentOfTheMaskUnits) {
  const std::vector<int64_t> locations = existing_locations({});
  const auto visible = draw_visible_units(0.30, locations, 1, 2, 3);
  EXPECT_EQ(visible.size(), 40u);
  EXPECT_EQ(std::set<int64_t>(visible.begin(), visible.end()).size(), 40u);
  EXPECT_TRUE(std::is_sorted(visible.begin(), visible.end()));
  EXPECT_NE(visible, draw_visible_units(0.30, locations, 1, 2, 4));
}

}  // namespace
}  // namespace slim::model
