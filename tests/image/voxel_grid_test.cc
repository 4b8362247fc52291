// SPDX-License-Identifier: Apache-2.0
#include "image/voxel_grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace slim::image {
namespace {

const Affine kOblique{{{-1.9, 0.3, 0.1, 88.5}, {0.2, 2.1, -0.4, -120.25}, {0.15, 0.35, 1.95, -70.0}}};

TEST(VoxelGrid, InverseUndoesTheMap) {
  const Affine identity = compose(kOblique, inverse(kOblique));
  for (size_t row = 0; row < 3; ++row) {
    for (size_t column = 0; column < 4; ++column) {
      EXPECT_NEAR(identity[row][column], row == column ? 1.0 : 0.0, 1e-13);
    }
  }
  const auto point = apply(inverse(kOblique), apply(kOblique, {3.0, -7.0, 11.0}));
  EXPECT_NEAR(point[0], 3.0, 1e-12);
  EXPECT_NEAR(point[1], -7.0, 1e-12);
  EXPECT_NEAR(point[2], 11.0, 1e-12);
}

TEST(VoxelGrid, InverseOfALatticeMapIsExact) {
  const Affine slim = slim_grid().scanner_from_voxel;
  EXPECT_EQ(inverse(slim), (Affine{{{-0.5, 0, 0, 47}, {0, 0.5, 0, 57}, {0, 0, 0.5, 38}}}));
}

TEST(VoxelGrid, ComposeAppliesTheInnerMapFirst) {
  const Affine shift{{{1, 0, 0, 5}, {0, 1, 0, 0}, {0, 0, 1, 0}}},
      twice{{{2, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 2, 0}}};
  EXPECT_EQ(apply(compose(twice, shift), {1, 1, 1}), (std::array<double, 3>{12, 2, 2}));
  EXPECT_EQ(apply(compose(shift, twice), {1, 1, 1}), (std::array<double, 3>{7, 2, 2}));
}

TEST(VoxelGrid, SlimGridIsLasAtTwoMillimetres) {
  const VoxelGrid grid = slim_grid();
  EXPECT_EQ(grid.voxels(), 96 * 96 * 96);
  EXPECT_DOUBLE_EQ(determinant(grid.scanner_from_voxel), -8.0);
  EXPECT_EQ(spacing_mm(grid), (std::array<double, 3>{2, 2, 2}));
  EXPECT_EQ(apply(grid.scanner_from_voxel, {0, 0, 0}), (std::array<double, 3>{94, -114, -76}));
}

TEST(VoxelGrid, SingularAndNonFiniteMapsAreNotInvertible) {
  EXPECT_TRUE(is_invertible(kOblique));
  EXPECT_TRUE(is_invertible({{{1e-3, 0, 0, 0}, {0, 1e-3, 0, 0}, {0, 0, 1e-3, 0}}}));
  EXPECT_FALSE(is_invertible(Affine{}));
  EXPECT_FALSE(is_invertible({{{1, 2, 0, 0}, {2, 4, 0, 0}, {0, 0, 1, 0}}}));
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Affine affine = kOblique;
    affine[1][2] = bad;
    EXPECT_FALSE(is_invertible(affine));
    affine = kOblique;
    affine[2][3] = bad;
    EXPECT_FALSE(is_invertible(affine));
  }
}

TEST(VoxelGrid, CornerDistanceSeesARotationOfHalfADegree) {
  Affine turned = slim_grid().scanner_from_voxel;
  const double angle = 0.5 * 3.14159265358979 / 180;
  turned = compose(
      {{{std::cos(angle), -std::sin(angle), 0, 0}, {std::sin(angle), std::cos(angle), 0, 0}, {0, 0, 1, 0}}},
      turned);
  const double distance = corner_distance_mm(slim_grid().size, slim_grid().scanner_from_voxel, turned);
  EXPECT_NEAR(distance, std::hypot(96.0, 114.0) * 2 * std::sin(angle / 2), 0.01);
}

}  // namespace
}  // namespace slim::image
