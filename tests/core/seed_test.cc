// SPDX-License-Identifier: Apache-2.0
#include "core/seed.h"

#include <gtest/gtest.h>

#include <set>

namespace slim {
namespace {

TEST(Stream, IsAFunctionOfItsFourNamesAlone) {
  EXPECT_EQ(Stream(1, "a", 2, 3).word(5), Stream(1, "a", 2, 3).word(5));
  Stream counted(1, "a", 2, 3);
  for (uint64_t n = 0; n < 100; ++n) {
    EXPECT_EQ(counted.next(), Stream(1, "a", 2, 3).word(n));
  }
}

TEST(Stream, ChangesWithEachOfThem) {
  std::set<uint64_t> words;
  size_t drawn = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    for (const char* purpose : {"init", "jepa_mask", ""}) {
      for (uint64_t epoch = 0; epoch < 8; ++epoch) {
        for (uint64_t index = 0; index < 8; ++index) {
          for (uint64_t n = 0; n < 8; ++n, ++drawn) {
            words.insert(Stream(seed, purpose, epoch, index).word(n));
          }
        }
      }
    }
  }
  EXPECT_EQ(words.size(), drawn);
}

TEST(Stream, UniformAndNormalHaveTheirMoments) {
  Stream stream(3, "moments");
  constexpr int kCount = 200'000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double u = stream.uniform(), z = stream.normal();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
    normal_sum += z;
    normal_squares += z * z;
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.005);
  EXPECT_NEAR(squares / kCount, 1.0 / 3.0, 0.005);
  EXPECT_NEAR(normal_sum / kCount, 0.0, 0.02);
  EXPECT_NEAR(normal_squares / kCount, 1.0, 0.02);
}

TEST(Stream, BoundedReachesEveryValueAndNoOther) {
  Stream stream(3, "bounded");
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(stream.bounded(7));
  }
  EXPECT_EQ(seen, (std::set<uint64_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(stream.bounded(1), 0u);
}

}  // namespace
}  // namespace slim
