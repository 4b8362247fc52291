// SPDX-License-Identifier: Apache-2.0
#include "clips/window.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace slim::clips {
namespace {

TEST(SelectClips, AllCutsTheRunIntoWholeClipsAndDropsTheRest) {
  EXPECT_TRUE(select_clips(39, "all").empty());
  EXPECT_EQ(select_clips(40, "all"), (std::vector<ClipFrames>{{{0, 40}}}));
  EXPECT_EQ(select_clips(164, "all").size(), 4u);
  EXPECT_EQ(select_clips(1200, "all").size(), 30u);
  EXPECT_EQ(select_clips(164, "all").back(), (ClipFrames{{120, 160}}));
}

TEST(SelectClips, UniformGivesOneClipAPieceOfFortyFramesInTimeOrder) {
  const std::pair<int64_t, size_t> cases[] = {{39, 0}, {40, 1}, {43, 1}, {400, 1}, {401, 2}, {599, 2}, {1200, 6}};
  for (const auto& [frames, expected] : cases) {
    const std::vector<ClipFrames> clips = select_clips(frames, "uniform");
    EXPECT_EQ(clips.size(), expected) << frames;
    int64_t previous = 0;
    for (const ClipFrames& clip : clips) {
      int64_t total = 0;
      for (const Window& window : clip) {
        EXPECT_GE(window.first, previous) << frames;
        EXPECT_LE(window.last, frames);
        total += window.last - window.first;
        previous = window.last;
      }
      EXPECT_EQ(total, 40);
    }
  }
}

TEST(SelectClips, UniformOfFortyFramesIsTheWholeRun) {
  EXPECT_EQ(describe(select_clips(40, "uniform").front()), "0-4,5-9,10-14,15-19,20-24,25-29,30-34,35-39");
}

TEST(SelectClips, UniformWindowsSitAtTheCentresOfEqualShares) {
  // 16 windows, 8 chosen: floor((j + 0.5) * 2) = 1, 3, 5, ...
  EXPECT_EQ(describe(select_clips(80, "uniform").front()), "5-9,15-19,25-29,35-39,45-49,55-59,65-69,75-79");
}

TEST(SelectClips, LastPieceTakesTheRest) {
  const std::vector<ClipFrames> clips = select_clips(599, "uniform");
  EXPECT_LT(clips[0].back().last, 201);
  EXPECT_GE(clips[1].front().first, 200);
  EXPECT_GT(clips[1].back().first, 540);
}

TEST(SelectClips, UnknownSelectorIsAUsageError) {
  try {
    select_clips(100, "best");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::Usage);
    EXPECT_NE(error.sentence().find("best"), std::string::npos);
  }
}

}  // namespace
}  // namespace slim::clips
