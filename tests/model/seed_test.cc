// SPDX-License-Identifier: Apache-2.0
#include "core/seed.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace slim {
namespace {

TEST(Stream, IsAFunctionOfItsNameAndOfNothingElse) {
  Stream first(7, "init", 2, 3), second(7, "init", 2, 3);
  first.next();
  EXPECT_EQ(first.word(5), second.word(5));
  second.next();
  EXPECT_EQ(first.next(), second.next());
}

TEST(Stream, EveryPartOfTheNameMakesAnotherStream) {
  std::set<uint64_t> words;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (const char* purpose : {"init", "jepa_mask", ""}) {
      for (uint64_t epoch = 0; epoch < 4; ++epoch) {
        for (uint64_t index = 0; index < 4; ++index) {
          for (uint64_t n = 0; n < 4; ++n) {
            words.insert(Stream(seed, purpose, epoch, index).word(n));
          }
        }
      }
    }
  }
  EXPECT_EQ(words.size(), 4U * 3 * 4 * 4 * 4);
}

TEST(Stream, WordsNeverChangeBetweenVersionsAndMachines) {
  EXPECT_EQ(Stream(1, "init").word(0), 9195470516458335168U);
  EXPECT_EQ(Stream(42, "jepa_mask", 3, 5).word(7), 12844916527484789683U);
}

TEST(Stream, BoundedCoversItsRangeEvenly) {
  Stream stream(3, "test");
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) {
    ++counts.at(stream.bounded(7));
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, 10000, 500);
  }
}

TEST(Stream, UniformAndNormalHaveTheirMoments) {
  Stream stream(3, "test");
  double uniform = 0, mean = 0, square = 0, fourth = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = stream.uniform(), x = stream.normal();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    uniform += u / kDraws;
    mean += x / kDraws;
    square += x * x / kDraws;
    fourth += x * x * x * x / kDraws;
  }
  EXPECT_NEAR(uniform, 0.5, 0.003);
  EXPECT_NEAR(mean, 0.0, 0.01);
  EXPECT_NEAR(square, 1.0, 0.02);
  EXPECT_NEAR(fourth, 3.0, 0.1);
}

}  // namespace
}  // namespace slim
