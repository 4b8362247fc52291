// SPDX-License-Identifier: Apache-2.0
#include "bids/motion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/bids/bids_tree.h"
#include "tests/support/run_program.h"

namespace slim::bids {
namespace {

TEST(Motion, NumbersOfConfoundsLeaveOutDummiesAndMissingCells) {
  const test::TempFolder folder;
  test::put(folder.path(), "confounds.tsv",
            "framewise_displacement\tstd_dvars\ttrans_x\trot_z\n"
            "n/a\tn/a\t9\t9\n"
            "0.2\t1.0\t1\t0.1\n"
            "0.4\t1.5\t3\t0.1\n"
            "0.6\tn/a\t5\t0.1\n");
  BoldRun run;
  run.confounds = folder / "confounds.tsv";
  run.dummy_volumes = 1;
  const auto numbers = motion_numbers(run);
  EXPECT_NEAR(numbers.at("fd_mean_mm"), 0.4, 1e-12);
  EXPECT_NEAR(numbers.at("fd_sd_mm"), std::sqrt(0.08 / 3), 1e-12);
  EXPECT_NEAR(numbers.at("fd_perc"), 100.0 / 3, 1e-12);
  EXPECT_NEAR(numbers.at("dvars_std_mean"), 1.25, 1e-12);
  EXPECT_NEAR(numbers.at("trans_x_sd_mm"), std::sqrt(8.0 / 3), 1e-12);
  EXPECT_NEAR(numbers.at("rot_z_sd_rad"), 0.0, 1e-12);
  EXPECT_FALSE(numbers.contains("trans_y_sd_mm"));
}

TEST(Motion, HcpDegreesBecomeMillimetresOnASphereOfFiftyMillimetres) {
  const test::TempFolder folder;
  test::put(folder.path(), "Movement_Regressors.txt",
            "  0.0  0.0 0.0  0.0 0.0 0.0  7 7 7 7 7 7\n"
            "  0.1 -0.2 0.0  1.0 0.0 0.0  7 7 7 7 7 7\n"
            "  0.1 -0.2 0.3  1.0 0.0 0.0  7 7 7 7 7 7\n");
  BoldRun run;
  run.movement_regressors = folder / "Movement_Regressors.txt";
  const auto numbers = motion_numbers(run);
  const double first = 0.3 + 50 * std::numbers::pi / 180;
  EXPECT_NEAR(numbers.at("fd_mean_mm"), (first + 0.3) / 2, 1e-12);
  EXPECT_NEAR(numbers.at("fd_perc"), 50, 1e-12);
  EXPECT_NEAR(numbers.at("rot_x_sd_rad"), std::numbers::pi / 180 * std::sqrt(2.0) / 3, 1e-12);
}

TEST(Motion, NothingIsKnownWithoutATable) { EXPECT_TRUE(motion_numbers({}).empty()); }

}  // namespace
}  // namespace slim::bids
