// SPDX-License-Identifier: Apache-2.0
#include "pipelines/atlas.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "core/atomic_file.h"
#include "core/slim_grid.h"
#include "image/nifti_io.h"
#include "tests/support/code_of.h"
#include "tests/support/run_program.h"

namespace slim::pipelines {
namespace {

namespace fs = std::filesystem;
using Point = std::array<double, 3>;
using test::code_of;

/// A lattice that covers the head, stored from left to right or from right to left.
image::VoxelGrid lattice(double spacing_mm, bool left_to_right, std::array<int64_t, 3> size) {
  image::VoxelGrid grid{.size = size};
  const double side = left_to_right ? 1.0 : -1.0;
  const double half = spacing_mm * static_cast<double>(size[0] - 1) / 2;
  grid.scanner_from_voxel = {
      {{side * spacing_mm, 0, 0, -side * half}, {0, spacing_mm, 0, -126}, {0, 0, spacing_mm, -78}}};
  return grid;
}

class AtlasTest : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const image::VoxelGrid& grid,
                 const std::function<float(const Point&)>& value, int64_t frames = 1) {
    std::vector<float> values;
    for (int64_t v = 0; v < grid.voxels() * frames; ++v) {
      const int64_t i = v % grid.voxels();
      const Point voxel{static_cast<double>(i % grid.size[0]),
                        static_cast<double>(i / grid.size[0] % grid.size[1]),
                        static_cast<double>(i / grid.size[0] / grid.size[1])};
      values.push_back(value(image::apply(grid.scanner_from_voxel, voxel)));
    }
    image::write_nifti(folder_ / name, grid, values, {});
    return folder_ / name;
  }
  static std::string named(const fs::path& path) { return "Own=" + path.string(); }

  test::TempFolder folder_;
};

/// Labels of the tokens' voxels against a rule about the place of their centre.
void expect_labels(const Atlas& atlas, const std::function<int32_t(const Point&)>& rule) {
  const std::vector<int32_t> voxels = packaged_token_set().voxel_indices();
  int64_t wrong = 0;
  for (size_t i = 0; i < voxels.size(); ++i) {
    const int32_t v = voxels[i];
    const Point place =
        image::apply(image::slim_grid().scanner_from_voxel,
                     {static_cast<double>(v % kSlimSize), static_cast<double>(v / kSlimSize % kSlimSize),
                      static_cast<double>(v / kSlimSize / kSlimSize)});
    const int32_t row = atlas.labels.row_of_value[i];
    const int32_t label = row < 0 ? 0 : atlas.labels.labels[static_cast<size_t>(row)];
    wrong += label == rule(place) ? 0 : 1;
  }
  EXPECT_EQ(wrong, 0);
}

TEST_F(AtlasTest, LeftIsLeftWhicheverWayTheImageIsStored) {
  // Borders lie between voxels of either lattice, so that the nearest one is beyond doubt.
  const auto rule = [](const Point& place) { return place[0] < -0.6 ? 7 : place[0] > 9.4 ? 12 : 0; };
  const auto value = [&](const Point& place) { return static_cast<float>(rule(place)); };
  const fs::path ras = write("ras.nii.gz", lattice(2, true, {97, 109, 97}), value);
  const fs::path las = write("las.nii.gz", lattice(2, false, {97, 109, 97}), value);
  const fs::path fine = write("fine.nii.gz", lattice(1, false, {193, 217, 193}), value);
  const Atlas one = read_atlas(named(ras)), two = read_atlas(named(las)), three = read_atlas(named(fine));
  EXPECT_EQ(one.labels.labels, (std::vector<int32_t>{7, 12}));
  expect_labels(one, rule);
  expect_labels(three, rule);
  EXPECT_EQ(one.labels.sha256, two.labels.sha256);
  EXPECT_EQ(one.labels.sha256, three.labels.sha256);
}

TEST_F(AtlasTest, NamesComeFromTheTableBesideTheImage) {
  const auto value = [](const Point& place) { return place[0] < 0 ? 1.0F : 2.0F; };
  const fs::path path = write("tpl-MNI152NLin6Asym_dseg.nii.gz", lattice(4, true, {46, 55, 46}), value);
  EXPECT_EQ(read_atlas(named(path)).names, (std::map<int32_t, std::string>{{1, "region1"}, {2, "region2"}}));
  write_text(folder_ / "tpl-MNI152NLin6Asym_dseg.tsv",
             "index\tname\tcolor\n1\tleft half\t#fff\n9\telsewhere\t#000\n");
  EXPECT_EQ(read_atlas(named(path)).names,
            (std::map<int32_t, std::string>{{1, "left half"}, {2, "region2"}}));
  write_text(folder_ / "tpl-MNI152NLin6Asym_dseg.tsv", "index\tname\none\tleft\n");
  EXPECT_EQ(code_of([&] { read_atlas(named(path)); }), "SB2003");
  write_text(folder_ / "tpl-MNI152NLin6Asym_dseg.tsv", "index\tlabel\n1\tleft\n");
  EXPECT_EQ(code_of([&] { read_atlas(named(path)); }), "SB2003");
}

TEST_F(AtlasTest, WhatIsNoLabelImageInMniSpaceIsRefused) {
  const image::VoxelGrid grid = lattice(6, true, {30, 36, 30});
  const auto ones = [](const Point&) { return 1.0F; };
  const auto code = [&](const fs::path& path) { return code_of([&] { read_atlas(named(path)); }); };
  EXPECT_EQ(code(write("ok.nii", grid, ones)), "none");
  EXPECT_EQ(code(write("share.nii", grid, [](const Point&) { return 0.5F; })), "SB2015");
  EXPECT_EQ(code(write("nan.nii", grid, [](const Point&) { return NAN; })), "SB2015");
  EXPECT_EQ(code(write("empty.nii", grid, [](const Point&) { return 0.0F; })), "SB1002");
  EXPECT_EQ(code(write("series.nii", grid, ones, 2)), "SB2012");
  EXPECT_EQ(code(write("sub-01_space-T1w_dseg.nii", grid, ones)), "SB2007");
  EXPECT_EQ(
      code(write("corner.nii", grid, [](const Point& p) { return p[0] < -80 && p[1] < -110 ? 1.0F : 0.0F; })),
      "SB2017");
  EXPECT_EQ(code(folder_ / "none.nii"), "SB2101");
  for (const std::string bad : {"ok.nii", "=ok.nii", "My-Atlas=ok.nii", "grid=ok.nii", "Own="}) {
    EXPECT_EQ(code_of([&] { read_atlas(bad); }), "SB1002") << bad;
  }
}

TEST_F(AtlasTest, WithoutAnAtlasTheCellsAreTheRegions) {
  Config config;
  const std::vector<Atlas> cells = atlases_of(config);
  ASSERT_EQ(cells.size(), 1u);
  EXPECT_EQ(cells[0].labels.name, "grid");
  EXPECT_EQ(cells[0].names.size(), 601u);
  EXPECT_EQ(cells[0].names.at(601), "cell601");
  const fs::path path = write("a.nii", lattice(6, true, {30, 36, 30}), [](const Point&) { return 1.0F; });
  config.embed.atlas = {"A=" + path.string(), "B=" + path.string()};
  EXPECT_EQ(atlases_of(config).at(1).labels.name, "B");
  config.embed.atlas[1][0] = 'A';
  EXPECT_EQ(code_of([&] { atlases_of(config); }), "SB1002");
}

}  // namespace
}  // namespace slim::pipelines
