// SPDX-License-Identifier: Apache-2.0
#include "pipelines/saliency_map.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bids/tsv.h"
#include "core/seed.h"
#include "core/token_set.h"

namespace slim::pipelines {
namespace {

const size_t kValues = static_cast<size_t>(packaged_token_set().size()) * 64;

std::vector<double> noise(uint64_t seed) {
  std::vector<double> map(kValues);
  Stream stream(seed, "map");
  for (double& value : map) {
    value = stream.normal();
  }
  return map;
}

std::vector<uint8_t> every_other() { return std::vector<uint8_t>(kValues / 8, 0x55); }
bool counts(size_t value) { return value % 2 == 0; }

TEST(SaliencyMap, ValuesLieWhereTheTokenSetSaysAndInvalidOnesAreZero) {
  std::vector<double> map(kValues);
  for (size_t v = 0; v < kValues; ++v) {
    map[v] = static_cast<double>(v + 1);
  }
  const std::vector<float> image = on_slim_grid(map, every_other());
  const std::vector<TokenCell>& cells = packaged_token_set().cells;
  size_t filled = 0;
  for (size_t v = 0; v < kValues; v += 97) {
    const size_t x = 4 * cells[v / 64].d + v % 64 / 16, y = 4 * cells[v / 64].h + v % 16 / 4;
    const size_t z = 4 * cells[v / 64].w + v % 4;
    EXPECT_EQ(image[x + 96 * (y + 96 * z)], counts(v) ? static_cast<float>(v + 1) : 0.0F) << v;
  }
  for (const float value : image) {
    filled += value != 0.0F ? 1 : 0;
  }
  EXPECT_EQ(filled, kValues / 2);
}

TEST(SaliencyMap, TheSameGridGivesTheSameValuesAndAMirroredOneTheMirrorImage) {
  const std::vector<float> map = on_slim_grid(noise(1), std::vector<uint8_t>(kValues / 8, 0xff));
  EXPECT_EQ(on_other_grid(map, image::slim_grid()), map);
  image::VoxelGrid ras = image::slim_grid();  // first axis the other way round, one voxel further
  ras.scanner_from_voxel[0] = {2.0, 0.0, 0.0, -98.0};
  const std::vector<float> mirrored = on_other_grid(map, ras);
  for (size_t row = 0; row < map.size(); row += 96) {
    EXPECT_EQ(mirrored[row], 0.0F) << "outside";
    for (size_t x = 1; x < 96; ++x) {
      ASSERT_EQ(mirrored[row + x], map[row + 96 - x]) << row << " " << x;
    }
  }
}

TEST(SaliencyMap, RegionsShareOutTheAbsoluteSum) {
  const Atlas atlas = atlases_of(Config{}).front();
  const std::vector<double> map = noise(2);
  const bids::Table table = bids::parse_tsv(region_table(atlas, map, every_other()), "table");
  ASSERT_EQ(table.rows.size(), 601u);
  double total = 0.0, shares = 0.0, covered = 0.0;
  for (size_t v = 0; v < kValues; ++v) {
    total += counts(v) ? std::fabs(map[v]) : 0.0;
  }
  const size_t row = 300;
  double sum = 0.0, sum_abs = 0.0;
  int64_t voxels = 0;
  for (size_t v = 0; v < kValues; ++v) {
    if (counts(v) && atlas.labels.row_of_value[v] >= 0) {
      covered += std::fabs(map[v]);
      if (atlas.labels.row_of_value[v] == static_cast<int32_t>(row)) {
        sum += map[v];
        sum_abs += std::fabs(map[v]);
        ++voxels;
      }
    }
  }
  const auto cell = [&](size_t r, const char* column) {
    return bids::to_number(*table.cell(r, column)).value();
  };
  EXPECT_EQ(cell(row, "n_voxels"), static_cast<double>(voxels));
  EXPECT_NEAR(cell(row, "mean"), sum / static_cast<double>(voxels), 1e-9);
  EXPECT_NEAR(cell(row, "mean_abs"), sum_abs / static_cast<double>(voxels), 1e-8);
  EXPECT_EQ(*table.cell(row, "name"), "cell301");
  for (size_t r = 0; r < table.rows.size(); ++r) {
    shares += cell(r, "share");
    if (cell(r, "rank") == 1.0) {
      for (size_t other = 0; other < table.rows.size(); ++other) {
        EXPECT_LE(cell(other, "share"), cell(r, "share"));
      }
    }
  }
  EXPECT_NEAR(shares, covered / total, 1e-6);
}

TEST(SaliencyMap, ARegionWithoutValidVoxelsHasNoMean) {
  const Atlas atlas = atlases_of(Config{}).front();
  const std::vector<uint8_t> none(kValues / 8, 0);
  const bids::Table table = bids::parse_tsv(region_table(atlas, noise(3), none), "table");
  EXPECT_EQ(*table.cell(0, "mean"), "n/a");
  EXPECT_EQ(*table.cell(0, "share"), "n/a");
  EXPECT_EQ(*table.cell(0, "n_voxels"), "0");
}

TEST(SaliencyMap, RankCorrelationLooksAtSizesInValidVoxelsAlone) {
  const std::vector<double> a = noise(4);
  std::vector<double> monotone(kValues), hidden(kValues);
  for (size_t v = 0; v < kValues; ++v) {
    monotone[v] = -std::pow(std::fabs(a[v]), 3.0);
    hidden[v] = counts(v) ? a[v] : 1e6;
  }
  EXPECT_NEAR(rank_correlation_of_abs(a, monotone, every_other()), 1.0, 1e-9);
  EXPECT_NEAR(rank_correlation_of_abs(a, hidden, every_other()), 1.0, 1e-9);
  EXPECT_NEAR(rank_correlation_of_abs(a, noise(5), every_other()), 0.0, 0.02);
  EXPECT_EQ(rank_correlation_of_abs(a, std::vector<double>(kValues, 2.0), every_other()), 0.0);
}

}  // namespace
}  // namespace slim::pipelines
