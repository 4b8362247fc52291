// SPDX-License-Identifier: Apache-2.0
#include "clips/roi_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "clips/roi_labels_file.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/half.h"
#include "tests/support/run_program.h"

namespace slim::clips {
namespace {

TokenSet small_set() {
  std::vector<uint8_t> flags(24 * 24 * 24, 0);
  flags[5000] = flags[5001] = flags[9000] = 1;
  return token_set_from_flags(flags);
}

/// A store whose value is a function of (frame, place); `valid` bits decide what counts.
struct Made {
  TokenSet tokens;
  std::vector<uint8_t> valid;
  std::vector<uint16_t> bold;
  int64_t frames;

  Made(TokenSet set, std::vector<uint8_t> bits, int64_t n_frames)
      : tokens(std::move(set)), valid(std::move(bits)), frames(n_frames) {
    for (int64_t t = 0; t < frames; ++t) {
      for (int64_t v = 0; v < 64 * tokens.size(); ++v) {
        bold.push_back(is_valid(v) ? half_from_float(wave(t, v)) : uint16_t{0});
      }
    }
  }
  bool is_valid(int64_t v) const { return ((valid[static_cast<size_t>(v / 8)] >> (v % 8)) & 1) != 0; }
  static float wave(int64_t t, int64_t v) {
    return static_cast<float>(std::sin(0.3 * static_cast<double>(t + 1) + 0.01 * static_cast<double>(v)) +
                              0.1 * static_cast<double>(v % 5));
  }
  ClipStore store(const std::filesystem::path& path) const {
    write_clip_store(path, {.n_frames = frames,
                            .bold = bold,
                            .valid = valid,
                            .metadata = {{"slimbrain_clips", "1"},
                                         {"token_mask_sha256", tokens.mask_sha256},
                                         {"token_order_sha256", tokens.order_sha256},
                                         {"n_frames", std::to_string(frames)},
                                         {"repetition_time_s", "0.72"}}});
    return ClipStore::open(path, tokens);
  }
};

template <class Work>
std::string code_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return {};
}

/// Three regions: one for each third of the stored voxels by x, labels 7, 30, 31; and 99 outside all tokens.
std::vector<int32_t> small_image(const TokenSet& tokens) {
  std::vector<int32_t> image(static_cast<size_t>(kSlimVoxels), 0);
  const std::vector<int32_t> voxels = tokens.voxel_indices();
  const int32_t labels[] = {7, 30, 31};
  for (size_t v = 0; v < voxels.size(); ++v) {
    image[static_cast<size_t>(voxels[v])] = v % 4 == 3 ? 0 : labels[v % 4];
  }
  image[0] = 99;
  image[1] = -5;
  return image;
}

TEST(GridParcellation, HasSixHundredAndOneCellsInStoreOrder) {
  const RoiLabels grid = grid_parcellation();
  ASSERT_EQ(grid.rows(), 601);
  int32_t seen = -1;
  for (const int32_t row : grid.row_of_value) {
    EXPECT_LE(row, seen + 1) << "rows are numbered where the store first meets them";
    seen = std::max(seen, row);
  }
  EXPECT_EQ(seen, 600);
  for (size_t r = 0; r < 601; ++r) {
    EXPECT_EQ(grid.labels[r], static_cast<int32_t>(r) + 1);
    EXPECT_EQ(grid.image_voxels[r], 512);
    EXPECT_GE(grid.stored_voxels[r], 64);
    EXPECT_EQ(grid.stored_voxels[r] % 64, 0) << "a cell is made of whole tokens";
  }
}

TEST(GridParcellation, CellsHoldATenthOfBrainAndAreLocationThenMorton) {
  const TokenSet& tokens = packaged_token_set();
  const std::vector<uint8_t>& brain = packaged_brain_mask();
  const RoiLabels grid = grid_parcellation();
  const std::vector<int32_t> voxels = tokens.voxel_indices();
  std::map<int64_t, int64_t> brain_of_cell;
  for (int64_t z = 0; z < 96; ++z) {
    for (int64_t y = 0; y < 96; ++y) {
      for (int64_t x = 0; x < 96; ++x) {
        brain_of_cell[(x / 8 * 12 + y / 8) * 12 + z / 8] += brain[static_cast<size_t>((z * 96 + y) * 96 + x)];
      }
    }
  }
  std::map<int32_t, int64_t> cell_of_row;
  std::vector<int64_t> order;  // location, Morton of the cell inside it
  for (size_t v = 0; v < voxels.size(); ++v) {
    const int64_t x = voxels[v] % 96, y = voxels[v] / 96 % 96, z = voxels[v] / (96 * 96);
    const int64_t cell = (x / 8 * 12 + y / 8) * 12 + z / 8;
    const int32_t row = grid.row_of_value[v];
    EXPECT_EQ(row >= 0, brain_of_cell[cell] >= 52) << "cell " << cell;
    if (row >= 0 && cell_of_row.emplace(row, cell).second) {
      const TokenCell token = tokens.cells[v / 64];
      order.push_back(512 * token.location() + morton_in_location(token) / 8);
    } else if (row >= 0) {
      EXPECT_EQ(cell_of_row[row], cell);
    }
  }
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(std::adjacent_find(order.begin(), order.end()), order.end());
}

TEST(LabelParcellation, CountsWhatIsInTheImageAndInTheTokens) {
  const TokenSet tokens = small_set();
  const RoiLabels labels = label_parcellation("three", small_image(tokens), tokens);
  EXPECT_EQ(labels.labels, (std::vector<int32_t>{7, 30, 31, 99}));
  EXPECT_EQ(labels.image_voxels, (std::vector<int64_t>{48, 48, 48, 1}));
  EXPECT_EQ(labels.stored_voxels, (std::vector<int64_t>{48, 48, 48, 0}));
}

TEST(LabelParcellation, HashFollowsTheRegions) {
  const TokenSet tokens = small_set();
  std::vector<int32_t> image = small_image(tokens);
  const std::string hash = label_parcellation("a", image, tokens).sha256;
  EXPECT_EQ(label_parcellation("b", image, tokens).sha256, hash) << "the name is not part of it";
  image[2] = 30;  // outside all tokens, a label that exists
  EXPECT_EQ(label_parcellation("a", image, tokens).sha256, hash);
  image[static_cast<size_t>(tokens.voxel_indices()[3])] = 30;
  EXPECT_NE(label_parcellation("a", image, tokens).sha256, hash);
}

TEST(LabelParcellation, RefusesImagesThatAreNoParcellation) {
  const TokenSet tokens = small_set();
  std::vector<int32_t> image(static_cast<size_t>(kSlimVoxels), 0);
  EXPECT_EQ(code_of([&] { label_parcellation("empty", image, tokens); }), "SB1002");
  for (size_t v = 0; v < image.size(); ++v) {
    image[v] = static_cast<int32_t>(v);
  }
  EXPECT_EQ(code_of([&] { label_parcellation("index", image, tokens); }), "SB1002");
  image.pop_back();
  EXPECT_EQ(code_of([&] { label_parcellation("short", image, tokens); }), "SB1002");
}

TEST(RoiSeries, IsTheMeanOverValidVoxelsOfEachRegion) {
  const test::TempFolder folder;
  std::vector<uint8_t> valid(24, 0xff);
  valid[1] = 0x35;
  valid[9] = 0x00;
  const Made made(small_set(), valid, 11);
  const RoiLabels labels = label_parcellation("three", small_image(made.tokens), made.tokens);
  const RoiSeries series = roi_series(made.store(folder / "a.safetensors"), labels);
  ASSERT_EQ(series.rows, 4);
  ASSERT_EQ(series.frames, 11);
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t t = 0; t < 11; ++t) {
      double sum = 0.0;
      int64_t count = 0;
      for (int64_t v = row; v < 192; v += 4) {
        if (made.is_valid(v)) {
          sum += static_cast<double>(float_from_half(made.bold[static_cast<size_t>(t * 192 + v)]));
          ++count;
        }
      }
      EXPECT_EQ(series.voxels[static_cast<size_t>(row)], count);
      EXPECT_NEAR(series.row(row)[static_cast<size_t>(t)], sum / static_cast<double>(count), 1e-14);
    }
  }
  EXPECT_EQ(series.voxels[3], 0);
}

TEST(RoiMatrix, RowsHaveMeanZeroAndSdOneAndRowsWithoutVoxelsAreInvalidZeros) {
  const test::TempFolder folder;
  const Made made(small_set(), std::vector<uint8_t>(24, 0xff), 50);
  const RoiMatrix matrix = roi_matrix(made.store(folder / "a.safetensors"),
                                      label_parcellation("three", small_image(made.tokens), made.tokens));
  EXPECT_EQ(matrix.valid, (std::vector<uint8_t>{1, 1, 1, 0}));
  for (size_t row = 0; row < 4; ++row) {
    double sum = 0.0, squares = 0.0;
    for (size_t t = 0; t < 50; ++t) {
      const double value = static_cast<double>(matrix.values[row * 50 + t]);
      sum += value;
      squares += value * value;
    }
    EXPECT_NEAR(sum, 0.0, 1e-4);
    EXPECT_NEAR(squares / 50.0, row < 3 ? 1.0 : 0.0, 1e-4);
  }
}

TEST(RoiMatrix, AConstantRowBecomesZerosNotNans) {
  RoiSeries series{.rows = 1, .frames = 5, .means = std::vector<double>(5, 3.25), .voxels = {10}};
  const RoiMatrix matrix = standardised(series);
  EXPECT_EQ(matrix.valid[0], 1);
  EXPECT_EQ(matrix.values, std::vector<float>(5, 0.0f));
}

TEST(RoiMatrix, DividesByTheSdPlusAMillionth) {
  const RoiSeries series{.rows = 1, .frames = 2, .means = {0.0, 2e-6}, .voxels = {1}};
  EXPECT_FLOAT_EQ(standardised(series).values[1], 0.5f);
}

TEST(RoiMatrix, EqualInputsGiveEqualBytes) {
  const test::TempFolder folder;
  const Made made(small_set(), std::vector<uint8_t>(24, 0xff), 40);
  const ClipStore store = made.store(folder / "a.safetensors");
  const RoiLabels labels = label_parcellation("three", small_image(made.tokens), made.tokens);
  EXPECT_EQ(roi_matrix(store, labels).values, roi_matrix(store, labels).values);
}

TEST(RoiMatrix, RefusesLabelsOfAnotherTokenSet) {
  const test::TempFolder folder;
  const Made made(small_set(), std::vector<uint8_t>(24, 0xff), 40);
  const ClipStore store = made.store(folder / "a.safetensors");
  EXPECT_EQ(code_of([&] { roi_series(store, grid_parcellation()); }), "SB9001");
}

TEST(RoiLabelsFile, GivesBackWhatWasWritten) {
  const test::TempFolder folder;
  const RoiLabels labels = label_parcellation("three", small_image(small_set()), small_set());
  write_roi_labels(folder / "a.safetensors", labels);
  const RoiLabels back = read_roi_labels(folder / "a.safetensors");
  EXPECT_EQ(back.name, "three");
  EXPECT_EQ(back.labels, labels.labels);
  EXPECT_EQ(back.row_of_value, labels.row_of_value);
  EXPECT_EQ(back.image_voxels, labels.image_voxels);
  EXPECT_EQ(back.stored_voxels, labels.stored_voxels);
  EXPECT_EQ(back.sha256, labels.sha256);
}

TEST(RoiLabelsFile, RefusesFilesThatContradictThemselves) {
  const test::TempFolder folder;
  RoiLabels labels = label_parcellation("three", small_image(small_set()), small_set());
  labels.row_of_value[5] = static_cast<int32_t>(labels.rows());
  write_roi_labels(folder / "row.safetensors", labels);
  EXPECT_EQ(code_of([&] { read_roi_labels(folder / "row.safetensors"); }), "SB2020");
  labels.row_of_value[5] = -1;
  labels.image_voxels.pop_back();
  write_roi_labels(folder / "count.safetensors", labels);
  EXPECT_EQ(code_of([&] { read_roi_labels(folder / "count.safetensors"); }), "SB2020");
  write_text(folder / "text.safetensors", "no tensors");
  EXPECT_EQ(code_of([&] { read_roi_labels(folder / "text.safetensors"); }), "SB2020");
  EXPECT_EQ(code_of([&] { read_roi_labels(folder / "none.safetensors"); }), "SB2101");
}

TEST(WindowVariance, IsTheMeanPopulationVarianceOverValidRows) {
  const RoiMatrix matrix{
      .rows = 3, .frames = 4, .values = {9, 1, 3, 9, 5, 0, 4, 5, 0, 0, 0, 0}, .valid = {1, 1, 0}};
  EXPECT_DOUBLE_EQ(window_variance(matrix, {1, 3}), (1.0 + 4.0) / 2.0);
}

}  // namespace
}  // namespace slim::clips
