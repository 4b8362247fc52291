// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "core/error.h"
#include "tests/image/judge.h"
#include "tests/image/read_all.h"

namespace slim::test {
namespace {

using image::VoxelGrid;
using image::WriteOptions;

std::vector<float> noise(size_t count) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal(100.0f, 30.0f);
  std::vector<float> values(count);
  for (float& value : values) {
    value = normal(random);
  }
  return values;
}

VoxelGrid las_grid() {
  return {.size = {9, 7, 5}, .scanner_from_voxel = {{{-2, 0, 0, 90}, {0, 2, 0, -126}, {0, 0, 2, -72}}}};
}
/// Rotated by 17 degrees about an oblique axis, unequal spacing, right or left handed.
VoxelGrid oblique_grid(double handedness) {
  const double c = std::cos(17 * std::numbers::pi / 180), s = std::sin(17 * std::numbers::pi / 180);
  VoxelGrid grid{.size = {9, 7, 5}, .scanner_from_voxel = {}};
  grid.scanner_from_voxel = image::compose({{{c, -s, 0, 0}, {s, c, 0, 0}, {0, 0, 1, 0}}},
                                           {{{1, 0, 0, -60}, {0, c, -s, 12.5}, {0, s, c, 3}}});
  grid.scanner_from_voxel =
      image::compose(grid.scanner_from_voxel, {{{3 * handedness, 0, 0, 0}, {0, 2.5, 0, 0}, {0, 0, 4.25, 0}}});
  return grid;
}
VoxelGrid sheared_grid() {
  VoxelGrid grid = las_grid();
  grid.scanner_from_voxel[0][1] = 0.5;
  return grid;
}

TEST(WriteNifti, WhatWasWrittenIsReadBack) {
  const TempFolder folder;
  for (const VoxelGrid& grid : {las_grid(), oblique_grid(1), oblique_grid(-1), sheared_grid()}) {
    for (const char* name : {"a.nii", "a.nii.gz"}) {
      for (const int64_t frames : {1, 4}) {
        const std::vector<float> values = noise(static_cast<size_t>(grid.voxels() * frames));
        image::write_nifti(folder / name, grid, values, {.form_code = 4, .repetition_time_s = 0.72});
        const WholeFile whole = read_all(folder / name);
        EXPECT_TRUE(whole.values == values);
        EXPECT_EQ(whole.header.grid.size, grid.size);
        EXPECT_LT(image::corner_distance_mm(grid.size, whole.header.grid.scanner_from_voxel,
                                            grid.scanner_from_voxel),
                  1e-4);
        EXPECT_EQ(whole.header.frames, frames);
        EXPECT_EQ(whole.header.is_four_d, frames > 1);
        EXPECT_EQ(whole.header.repetition_time_s, frames > 1 ? std::optional(0.72) : std::nullopt);
        EXPECT_TRUE(whole.header.warnings.empty() && whole.warnings.empty());
      }
    }
  }
  EXPECT_EQ(read_all(folder / "a.nii").header.grid.size, las_grid().size);
}

TEST(WriteNifti, AMaskIsStoredAsBytes) {
  const TempFolder folder;
  std::vector<float> mask(static_cast<size_t>(las_grid().voxels()));
  for (size_t i = 0; i < mask.size(); ++i) {
    mask[i] = i % 3 == 0 ? 1.0f : 0.0f;
  }
  image::write_nifti(folder / "m.nii", las_grid(), mask, {.as_uint8 = true});
  EXPECT_EQ(std::filesystem::file_size(folder / "m.nii"), 352 + mask.size());
  EXPECT_EQ(image::read_volume(folder / "m.nii").values, mask);
  for (const float bad : {0.5f, -1.0f, 256.0f, std::nanf("")}) {
    mask[5] = bad;
    EXPECT_THROW(image::write_nifti(folder / "bad.nii", las_grid(), mask, {.as_uint8 = true}), Error);
  }
}

TEST(WriteNifti, GzipCarriesNoNameAndNoTimeAndRepeatsItself) {
  const TempFolder folder;
  const std::vector<float> values = noise(static_cast<size_t>(las_grid().voxels()));
  image::write_nifti(folder / "a.nii.gz", las_grid(), values, {});
  image::write_nifti(folder / "another-name.nii.gz", las_grid(), values, {});
  const Bytes bytes = read_file(folder / "a.nii.gz");
  EXPECT_EQ(bytes, read_file(folder / "another-name.nii.gz"));
  ASSERT_GT(bytes.size(), 18u);
  EXPECT_EQ(Bytes(bytes.begin() + 3, bytes.begin() + 8), Bytes(5));  // flags and time
}

TEST(WriteNifti, PiecesGiveTheSameFileAsTheWhole) {
  const TempFolder folder;
  const std::vector<float> values = noise(static_cast<size_t>(las_grid().voxels() * 3));
  const WriteOptions options{.repetition_time_s = 2.0, .gzip_level = 1};
  image::write_nifti(folder / "whole.nii.gz", las_grid(), values, options);
  image::NiftiWriter writer(folder / "pieces.nii.gz", las_grid(), 3, options);
  for (size_t at = 0; at < values.size(); at += 45) {
    EXPECT_THROW(writer.finish(), Error);
    writer.append(std::span(values).subspan(at, 45));
  }
  writer.finish();
  EXPECT_EQ(read_file(folder / "pieces.nii.gz"), read_file(folder / "whole.nii.gz"));
  EXPECT_TRUE(read_all(folder / "pieces.nii.gz").values == values);
}

TEST(WriteNifti, ALongAxisMakesNifti2) {
  const TempFolder folder;
  const VoxelGrid grid{.size = {40000, 1, 1}, .scanner_from_voxel = las_grid().scanner_from_voxel};
  const std::vector<float> values = noise(40000);
  image::write_nifti(folder / "a.nii", grid, values, {});
  const WholeFile whole = read_all(folder / "a.nii");
  EXPECT_EQ(whole.header.data_offset, 544u);
  EXPECT_TRUE(whole.values == values);
}

TEST(WriteNifti, RefusesValuesThatDoNotFillFrames) {
  const TempFolder folder;
  EXPECT_THROW(image::write_nifti(folder / "a.nii", las_grid(), noise(314), {}), Error);
  EXPECT_THROW(image::write_nifti(folder / "a.nii", las_grid(), {}, {}), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.nii"));
}

TEST(WriteNifti, AFolderThatIsNotThereIsAnErrorOfCreation) {
  const TempFolder folder;
  try {
    image::write_nifti(folder / "absent/a.nii.gz", las_grid(), noise(315), {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB5001");
  }
}

TEST(WriteNifti, NibabelReadsTheSameImageAndBothForms) {
  const std::optional<std::filesystem::path> python = judges_python();
  if (!python) {
    GTEST_SKIP() << "no judges: set SLIM_JUDGES";
  }
  const TempFolder folder;
  NibabelJudge judge;
  size_t number = 0;
  const auto add = [&](const VoxelGrid& grid, int64_t frames, const WriteOptions& options,
                       const char* ending) {
    std::vector<float> values = noise(static_cast<size_t>(grid.voxels() * frames));
    if (options.as_uint8) {
      for (float& value : values) {
        value = value > 100.0f ? 1.0f : 0.0f;
      }
    }
    const auto path = folder / (std::to_string(number++) + ending);
    image::write_nifti(path, grid, values, options);
    const bool has_qform = grid != sheared_grid();
    judge.add(path, image::read_header(path), values,
              {{"sform_code", options.form_code},
               {"qform_code", has_qform ? options.form_code : 0},
               {"dtype", options.as_uint8 ? "uint8" : "float32"},
               {"repetition_time_s", options.repetition_time_s}});
  };
  for (const VoxelGrid& grid :
       {las_grid(), oblique_grid(1), oblique_grid(-1), sheared_grid(), image::slim_grid()}) {
    add(grid, 1, {.form_code = 4}, ".nii.gz");
    add(grid, 1, {.form_code = 1, .as_uint8 = true}, ".nii");
    add(grid, grid == image::slim_grid() ? 2 : 5, {.form_code = 4, .repetition_time_s = 0.72}, ".nii.gz");
  }
  add({.size = {40000, 1, 1}, .scanner_from_voxel = las_grid().scanner_from_voxel}, 1, {.form_code = 2},
      ".nii");
  const ProgramResult verdict = judge.verdict(*python);
  EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
}

}  // namespace
}  // namespace slim::test
