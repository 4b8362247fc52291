// SPDX-License-Identifier: Apache-2.0
#include "preproc/lattice.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

image::VoxelGrid grid_of(std::array<int64_t, 3> size, image::Affine affine) {
  return {.size = size, .scanner_from_voxel = affine};
}

TEST(Lattice, CopiesTheMniLatticeByTheDocumentedShift) {
  const auto map = same_lattice(test::nlin6_grid());
  ASSERT_TRUE(map.has_value());
  const auto table = gather_table(*map, {91, 109, 91}, all_slim_indices());
  for (const auto [i, j, k] : {std::array<int64_t, 3>{2, 0, 2}, {40, 50, 60}, {92, 95, 92}}) {
    EXPECT_EQ(table[static_cast<size_t>(i + 96 * (j + 96 * k))], (i - 2) + 91 * ((j + 6) + 109 * (k - 2)));
  }
  EXPECT_EQ(table[1], -1) << "x = 1 lies outside the input";
}

TEST(Lattice, TakesFlipsAndPermutationsForTheSameLattice) {
  EXPECT_TRUE(same_lattice(grid_of({91, 109, 91}, {{{2, 0, 0, -90}, {0, 2, 0, -126}, {0, 0, 2, -72}}})));
  EXPECT_TRUE(same_lattice(grid_of({91, 91, 109}, {{{0, 2, 0, -90}, {0, 0, -2, 90}, {2, 0, 0, -72}}})));
}

TEST(Lattice, RefusesWhatNeedsInterpolation) {
  using A = image::Affine;
  const std::array<int64_t, 3> size{97, 115, 97};
  EXPECT_FALSE(same_lattice(grid_of(size, A{{{2, 0, 0, -96.5}, {0, 2, 0, -132.5}, {0, 0, 2, -78.5}}})));
  EXPECT_FALSE(same_lattice(grid_of(size, A{{{-2, 0, 0, 90.01}, {0, 2, 0, -126}, {0, 0, 2, -72}}})));
  EXPECT_FALSE(same_lattice(grid_of(size, A{{{-1, 0, 0, 90}, {0, 1, 0, -126}, {0, 0, 1, -72}}})));
  EXPECT_FALSE(same_lattice(grid_of(size, A{{{-2.001, 0, 0, 90}, {0, 2, 0, -126}, {0, 0, 2, -72}}})));
  EXPECT_FALSE(same_lattice(grid_of(size, A{{{-2, 0, 0, 1e9}, {0, 2, 0, -126}, {0, 0, 2, -72}}})));
  EXPECT_TRUE(same_lattice(grid_of(size, A{{{-2, 0, 0, 90.0005}, {0, 2, 0, -126}, {0, 0, 2, -72}}})));
}

TEST(Lattice, SeesTheWholeBrainInAFullFieldAndPartInASlab) {
  EXPECT_EQ(brain_share_in_view(test::nlin6_grid()), 1.0);
  image::VoxelGrid slab = test::nlin6_grid();
  slab.size[2] = 20;
  const double share = brain_share_in_view(slab);
  EXPECT_GT(share, 0.01);
  EXPECT_LT(share, 0.30);
}

TEST(Lattice, AgreesWithNibabelOnPositions) {
  test::TempFolder folder;
  const std::vector<std::pair<std::string, image::VoxelGrid>> grids{
      {"nlin6-2mm", test::nlin6_grid()},
      {"nlin2009c-2mm", grid_of({97, 115, 97}, {{{2, 0, 0, -96.5}, {0, 2, 0, -132.5}, {0, 0, 2, -78.5}}})},
      {"nlin6-1mm", grid_of({182, 218, 182}, {{{-1, 0, 0, 90}, {0, 1, 0, -126}, {0, 0, 1, -72}}})}};
  std::vector<std::string> command{"positions", folder.path().string()};
  for (const auto& [name, grid] : grids) {
    image::write_nifti(folder / (name + ".nii"), grid, std::vector<float>(static_cast<size_t>(grid.voxels())),
                       {});
    const auto everything = all_slim_indices();
    test::write_values(folder / (name + ".points"), points_in_voxels(grid, everything));
    const auto map = same_lattice(grid);
    test::write_values(folder / (name + ".table"),
                       map ? gather_table(*map, grid.size, everything) : nearest_table(grid, everything));
    command.push_back(name);
  }
  const auto verdict = test::judge(command);
  if (!verdict.has_value()) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  ASSERT_EQ(verdict->exit_code, 0) << verdict->err;
  EXPECT_LT(std::stod(verdict->out), 1e-9);
}

}  // namespace
}  // namespace slim::preproc
