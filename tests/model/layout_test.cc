// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/rand.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "core/error.h"
#include "generated.h"
#include "model/flops.h"
#include "model/layout_index.h"
#include "model/voxel_order.h"

namespace slim::model {
namespace {

std::vector<int64_t> units_of(const std::vector<int64_t>& blocks, const std::vector<int64_t>& locations) {
  std::vector<int64_t> units;
  for (const int64_t block : blocks) {
    for (const int64_t location : locations) {
      units.push_back(kLocations * block + location);
    }
  }
  return units;
}

std::vector<int64_t> first_locations(int64_t count) {
  std::vector<int64_t> locations(static_cast<size_t>(count));
  std::iota(locations.begin(), locations.end(), 0);
  return locations;
}

auto key_of(const RowCell& cell) { return std::make_tuple(cell.clip, cell.t, cell.d, cell.h, cell.w); }

TEST(TokenLayout, HasTheRowsOfTheTable) {
  const TokenLayout token({}), none({.background = Background::None}), unit({.background = Background::Unit});
  EXPECT_EQ(token.rows(0), 178880);
  EXPECT_EQ(token.rows(1), 14280);
  EXPECT_EQ(token.rows(2), 1280);
  EXPECT_EQ(none.rows(0), 552960);
  EXPECT_EQ(none.rows(1), 34560);
  EXPECT_EQ(none.rows(2), 2160);
  EXPECT_EQ(unit.rows(0), none.rows(0)) << "every location touches the brain";
  const TokenLayout forty(
      {.background = Background::Unit, .mask_units = {units_of({0, 1}, first_locations(20))}});
  EXPECT_EQ(forty.rows(0), 163840);
  EXPECT_EQ(forty.rows(1), 10240);
  EXPECT_EQ(forty.rows(2), 640);
}

TEST(TokenLayout, EveryRowIsAnotherCellAndHasItsChildren) {
  const std::vector<std::vector<int64_t>> choices{units_of({0, 3}, {0, 4, 13}),
                                                  units_of({1, 2, 4}, {2, 13, 26})};
  const TokenLayout layout({.clips = 2, .mask_units = choices});
  for (int level = 0; level < kLevels; ++level) {
    std::vector<RowCell> cells = layout.cells(level);
    ASSERT_EQ(static_cast<int64_t>(cells.size()), layout.rows(level));
    std::sort(cells.begin(), cells.end(), [](const auto& a, const auto& b) { return key_of(a) < key_of(b); });
    EXPECT_EQ(std::adjacent_find(cells.begin(), cells.end()), cells.end());
  }
  for (int level = 0; level + 1 < kLevels; ++level) {
    const std::vector<RowCell> fine = layout.cells(level), coarse = layout.cells(level + 1);
    const std::vector<Children> children = layout.children(level);
    ASSERT_EQ(children.size(), coarse.size());
    std::vector<int> seen(fine.size(), 0);
    for (size_t i = 0; i < children.size(); ++i) {
      ASSERT_GE(children[i].count, 1);
      for (int64_t k = 0; k < 2 * children[i].count; ++k) {
        const int64_t row =
            k < children[i].count ? children[i].first + k : children[i].second + k - children[i].count;
        const RowCell& child = fine.at(static_cast<size_t>(row));
        EXPECT_EQ((RowCell{child.clip, child.t / 2, child.d / 2, child.h / 2, child.w / 2}), coarse[i]);
        ++seen.at(static_cast<size_t>(row));
      }
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<int64_t>(fine.size()));
  }
}

TEST(TokenLayout, SlabsHoldMaskUnitsAndClips) {
  const std::vector<std::vector<int64_t>> choices{units_of({0}, {0, 13}), units_of({2}, {0, 13}),
                                                  units_of({1}, {5})};
  const TokenLayout layout({.clips = 3, .mask_units = choices});
  for (int level = 0; level < kLevels; ++level) {
    const std::vector<RowCell> cells = layout.cells(level);
    const int frames = 8 >> level, edge = 8 >> level;
    int64_t next = 0;
    for (const Slab& slab : layout.mask_unit_slabs(level)) {
      EXPECT_EQ(slab.first_row, next);
      next += slab.groups * slab.rows;
      for (int64_t row = slab.first_row; row < next; ++row) {
        const RowCell& cell = cells[static_cast<size_t>(row)];
        const RowCell& first = cells[static_cast<size_t>(row - (row - slab.first_row) % slab.rows)];
        EXPECT_EQ(
            std::make_tuple(cell.clip, cell.t / frames, cell.d / edge, cell.h / edge, cell.w / edge),
            std::make_tuple(first.clip, first.t / frames, first.d / edge, first.h / edge, first.w / edge));
      }
    }
    EXPECT_EQ(next, layout.rows(level));
  }
  const std::vector<Slab> clips = layout.clip_slabs();
  ASSERT_EQ(clips.size(), 2U) << "the first two clips are equally long";
  EXPECT_EQ(clips[0].groups, 2);
  EXPECT_EQ(clips[1].first_row, 2 * clips[0].rows);
}

TEST(TokenLayout, FinalRowsAreOrderedByClipAndCell) {
  const TokenLayout layout({.clips = 2, .mask_units = {units_of({4, 1}, {20, 3, 7})}});
  std::vector<int64_t> order = layout.clip_major();
  const std::vector<RowCell> cells = layout.final_cells();
  EXPECT_TRUE(std::is_sorted(cells.begin(), cells.end(),
                             [](const auto& a, const auto& b) { return key_of(a) < key_of(b); }));
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i) {
    ASSERT_EQ(order[i], static_cast<int64_t>(i));
  }
}

TEST(TokenLayout, TokenModeHoldsTheTokenSetAndNothingElse) {
  const TokenLayout layout({});
  std::map<std::tuple<int, int, int>, int> frames;
  for (const RowCell& cell : layout.cells(0)) {
    ++frames[{cell.d, cell.h, cell.w}];
  }
  ASSERT_EQ(frames.size(), packaged_token_set().cells.size());
  for (const TokenCell& cell : packaged_token_set().cells) {
    const auto found = frames.find({cell.d, cell.h, cell.w});
    ASSERT_NE(found, frames.end());
    EXPECT_EQ(found->second, kClipFrames);
  }
}

TEST(TokenLayout, UnitModeDropsLocationsByTheirShareOfBrain) {
  const TokenLayout all({.background = Background::Unit}),
      some({.background = Background::Unit, .unit_tau = 0.2});
  EXPECT_EQ(all.locations().size(), 27U);
  EXPECT_LT(some.locations().size(), 27U);
  EXPECT_GT(some.locations().size(), 0U);
  EXPECT_THROW(TokenLayout({.background = Background::Unit, .unit_tau = 1.0}), Error);
}

TEST(TokenLayout, RefusesImpossibleChoices) {
  const auto refuses = [](LayoutOptions options) {
    try {
      const TokenLayout layout(options);
    } catch (const Error& error) {
      return error.code() == message::kBadValue.code;
    }
    return false;
  };
  EXPECT_TRUE(refuses({.clips = 0}));
  EXPECT_TRUE(refuses({.mask_units = {{135}}}));
  EXPECT_TRUE(refuses({.mask_units = {{-1}}}));
  EXPECT_TRUE(refuses({.mask_units = {{5, 5}}}));
  EXPECT_TRUE(refuses({.clips = 3, .mask_units = {{1}, {2}}}));
  EXPECT_TRUE(refuses({.clips = 2, .mask_units = {{1}, {}}})) << "a clip without mask units has no feature";
  std::vector<uint8_t> flags(24 * 24 * 24, 0);
  flags[0] = 1;
  const TokenSet corner = token_set_from_flags(flags);
  EXPECT_TRUE(refuses({.tokens = &corner, .mask_units = {{26}}})) << "its location holds no token";
  EXPECT_THROW(background_from("tokens"), Error);
  EXPECT_EQ(background_from("unit"), Background::Unit);
}

TEST(Flops, EqualTheTable) {
  const EncoderOptions base = encoder_preset("base"), tiny = encoder_preset("tiny");
  const auto near = [](double flops, double giga) { EXPECT_NEAR(flops / 1e9 / giga, 1.0, 1e-3); };
  const Flops none = count_encoder_flops(base, TokenLayout({.background = Background::None}));
  near(none.attention, 1342.1);
  near(none.linear, 289.1);
  const Flops unit = count_encoder_flops(
      base,
      TokenLayout({.background = Background::Unit, .mask_units = {units_of({0, 1}, first_locations(20))}}));
  near(unit.attention, 376.7);
  near(unit.linear, 85.6);
  const Flops token = count_encoder_flops(base, TokenLayout({}));
  near(token.attention, 260.3);
  near(token.linear, 122.7);
  near(count_encoder_flops(tiny, TokenLayout({})).total(), 34.4);
  EXPECT_NEAR(count_encoder_flops(tiny, TokenLayout({.background = Background::None})).total() / 1e9, 176,
              0.5);
  const TokenLayout two({.clips = 2});
  EXPECT_DOUBLE_EQ(count_encoder_flops(base, two).total(), 2 * token.total());
}

TEST(VoxelOrder, IndexTensorGoesThereAndBack) {
  const at::Tensor index =
      at::arange(kClipFrames * kSlimVoxels, at::kInt).view({1, kClipFrames, kSlimSize, kSlimSize, kSlimSize});
  const TokenSet& tokens = packaged_token_set();
  const at::Tensor packed = packed_from_dense(index, tokens, Outside::Drop);
  ASSERT_EQ(packed.sizes(), (std::vector<int64_t>{1, 40, 4472, 64}));
  const auto value = packed.accessor<int32_t, 4>();
  for (const int64_t t : {0, 17, 39}) {
    for (int64_t i = 0; i < tokens.size(); i += 7) {
      const TokenCell& cell = tokens.cells[static_cast<size_t>(i)];
      for (int64_t v = 0; v < 64; ++v) {
        const int64_t x = 4 * cell.d + v / 16, y = 4 * cell.h + v / 4 % 4, z = 4 * cell.w + v % 4;
        ASSERT_EQ(value[0][t][i][v], ((t * 96 + x) * 96 + y) * 96 + z);
      }
    }
  }
  EXPECT_TRUE(at::equal(dense_from_cubes(cubes_from_dense(index)), index));
  const at::Tensor dense = dense_from_packed(packed, tokens);
  EXPECT_TRUE(at::equal(packed_from_dense(dense, tokens), packed));
  EXPECT_TRUE(at::equal(dense, index * dense.ne(0))) << "zero outside, unchanged inside";
}

TEST(VoxelOrder, RefusesValuesOutsideTheSetAndCountsThem) {
  at::Tensor dense = testing::only_brain(testing::generated_clip()).clone();
  EXPECT_NO_THROW(packed_from_dense(dense, packaged_token_set()));
  dense[0][3][0][0][0] = 1.0;
  dense[0][4][95][95][95] = -1.0;
  try {
    packed_from_dense(dense, packaged_token_set());
    FAIL() << "values outside the set were dropped silently";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), message::kBadValues.code);
    EXPECT_TRUE(error.sentence().starts_with("2 values")) << error.sentence();
  }
  EXPECT_NO_THROW(packed_from_dense(dense, packaged_token_set(), Outside::Drop));
}

std::vector<int64_t> numbers(const at::Tensor& tensor) {
  const at::Tensor values = tensor.contiguous();
  const auto* const first = values.const_data_ptr<int64_t>();
  return {first, first + values.numel()};
}

TEST(RowNumbers, EqualThoseOfTheCellsOneByOne) {
  for (const Background background : {Background::Token, Background::Unit, Background::None}) {
    const std::vector<std::vector<int64_t>> choices[]{{}, {{0, 3, 13, 40, 134}, {13, 27, 121}}};
    for (const auto& chosen : choices) {
      const TokenLayout layout(
          {.background = background, .clips = 2, .mask_units = chosen, .unit_tau = 0.05});
      const LayoutIndex index = make_layout_index(layout, at::kCPU);
      std::map<int64_t, int64_t> place_of;
      for (const int64_t cell : layout.packed_grid_index()) {
        place_of.emplace(cell, static_cast<int64_t>(place_of.size()));
      }
      std::vector<int64_t> time, space, frame, place;
      for (const RowCell& cell : layout.cells(0)) {
        const int64_t grid = (cell.d * 24 + cell.h) * 24 + cell.w;
        time.push_back(cell.t);
        space.push_back(grid);
        frame.push_back(cell.clip * 40 + cell.t);
        place.push_back(place_of.contains(grid) ? place_of.at(grid) : -1);
      }
      EXPECT_EQ(numbers(index.time), time);
      EXPECT_EQ(numbers(index.space), space);
      EXPECT_EQ(numbers(index.frame), frame);
      EXPECT_EQ(numbers(index.place), place);
      EXPECT_EQ(numbers(index.clip_major), layout.clip_major());
      for (const int level : {0, 1}) {
        std::vector<int64_t> children;
        for (const Children& cell : layout.children(level)) {
          for (int64_t k = 0; k < 8; ++k) {
            children.push_back(cell.first + std::min(k, cell.count - 1));
            children.push_back(cell.second + std::min(k, cell.count - 1));
          }
        }
        EXPECT_EQ(numbers(index.children[static_cast<size_t>(level)]), children);
      }
    }
  }
}

TEST(Pooling, OfAllCellsEqualsAMaximumOnTheGrid) {
  const TokenLayout layout({.background = Background::None});
  const LayoutIndex index = make_layout_index(layout, at::kCPU);
  const at::Tensor rows = at::rand({layout.rows(1), 3});
  const at::Tensor pooled = pool_children(rows, index.children[1]);
  at::Tensor grid = at::empty({20, 12, 12, 12, 3}), expected = at::empty({10, 6, 6, 6, 3}),
             found = expected.clone();
  const std::vector<RowCell> fine = layout.cells(1), coarse = layout.cells(2);
  for (size_t i = 0; i < fine.size(); ++i) {
    grid[fine[i].t][fine[i].d][fine[i].h][fine[i].w] = rows[static_cast<int64_t>(i)];
  }
  for (size_t i = 0; i < coarse.size(); ++i) {
    found[coarse[i].t][coarse[i].d][coarse[i].h][coarse[i].w] = pooled[static_cast<int64_t>(i)];
  }
  expected = grid.view({10, 2, 6, 2, 6, 2, 6, 2, 3}).amax({1, 3, 5, 7});
  EXPECT_TRUE(at::equal(found, expected));
}

}  // namespace
}  // namespace slim::model
