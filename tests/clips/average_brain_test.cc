// SPDX-License-Identifier: Apache-2.0
#include "clips/average_brain.h"

#include <gtest/gtest.h>

#include "clips/clip_store.h"
#include "core/token_set.h"
#include "tests/support/clip_store.h"
#include "tests/support/code_of.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;

namespace slim::clips {
namespace {

class AverageBrainFile : public ::testing::Test {
 protected:
  test::TempFolder folder_;
};

TEST_F(AverageBrainFile, IsTheMeanOverRunsOfTheMeanOverTimeHoweverLongARunIs) {
  const TokenSet& tokens = packaged_token_set();
  const auto base = [](int64_t voxel) { return static_cast<float>(voxel % 7) - 3.0F; };
  // Means over time: base + 1 of 40 frames, base - 2 of 56.
  test::write_clip_store(folder_ / "a", tokens, 40, [&](int64_t frame, int64_t voxel) {
    return base(voxel) + (frame % 2 == 0 ? 0.5F : 1.5F);
  });
  test::write_clip_store(folder_ / "b", tokens, 56,
                         [&](int64_t, int64_t voxel) { return base(voxel) - 2.0F; });
  const AverageBrain brain = average_brain(std::vector<fs::path>{folder_ / "a", folder_ / "b"});
  EXPECT_EQ(brain.runs, 2);
  ASSERT_EQ(static_cast<int64_t>(brain.values.size()), tokens.size() * kTokenVoxels);
  for (size_t v = 0; v < brain.values.size(); v += 101) {
    EXPECT_FLOAT_EQ(brain.values[v], base(static_cast<int64_t>(v)) - 0.5F);
  }
}

TEST_F(AverageBrainFile, AVoxelCountsWhereItIsValid) {
  const TokenSet& tokens = packaged_token_set();
  const auto voxels = static_cast<size_t>(tokens.size() * kTokenVoxels);
  test::write_clip_store(folder_ / "whole", tokens, 40, [](int64_t, int64_t) { return 2.0F; });
  std::vector<uint8_t> valid(voxels / 8, 0xff);
  valid[0] = 0xfe;  // the first voxel is missing
  std::vector<uint16_t> fours(voxels * 40, half_from_float(4.0F));
  for (size_t frame = 0; frame < 40; ++frame) {
    fours[frame * voxels] = 0;  // as every store holds it there
  }
  write_clip_store(folder_ / "holed", {.n_frames = 40,
                                       .bold = fours,
                                       .valid = valid,
                                       .metadata = ClipStore::open(folder_ / "whole").metadata()});
  const AverageBrain brain = average_brain(std::vector<fs::path>{folder_ / "whole", folder_ / "holed"});
  EXPECT_FLOAT_EQ(brain.values[0], 2.0F);
  EXPECT_FLOAT_EQ(brain.values[1], 3.0F);
  EXPECT_FLOAT_EQ(average_brain(std::vector<fs::path>{folder_ / "holed"}).values[0], 0.0F);
}

TEST_F(AverageBrainFile, ComesBackBitForBitAndOthersAreRefused) {
  const AverageBrain brain{.values = {0.25F, -1.5F, 3.0F}, .runs = 12};
  write_average_brain(folder_ / "average", brain);
  const AverageBrain back = read_average_brain(folder_ / "average", 3);
  EXPECT_EQ(back.values, brain.values);
  EXPECT_EQ(back.runs, 12);
  EXPECT_EQ(test::code_of([&] { read_average_brain(folder_ / "average", 4); }), "SB2020");
  EXPECT_EQ(test::code_of([&] { read_average_brain(folder_ / "none", 3); }), "SB2101");
  test::write_clip_store(folder_ / "store", packaged_token_set(), 40, [](int64_t, int64_t) { return 0.0F; });
  EXPECT_EQ(test::code_of([&] { read_average_brain(folder_ / "store", 3); }), "SB2020");
}

}  // namespace
}  // namespace slim::clips
