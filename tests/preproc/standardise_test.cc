// SPDX-License-Identifier: Apache-2.0
#include "preproc/standardise.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <cmath>
#include <limits>

#include "core/half.h"
#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

constexpr int64_t kValues = 70 * 64 * 16;  // no whole number of sum blocks

PackedBold run_of(int64_t frames) {
  PackedBold bold;
  bold.frames = frames;
  bold.frame_values = kValues;
  bold.values = FrameBuffer(static_cast<size_t>(frames * kValues) * sizeof(float));
  bold.repetition_time_s = 0.72;
  for (int64_t v = 0; v < kValues; ++v) {
    bold.valid.push_back(v % 5 != 0 ? 1 : 0);
    for (int64_t t = 0; t < frames; ++t) {
      const double level = 8000.0 + 3000.0 * test::noise_at(static_cast<uint64_t>(v));
      bold.frame(t)[static_cast<size_t>(v)] =
          v % 5 == 0 ? std::numeric_limits<float>::quiet_NaN()
                     : static_cast<float>(
                           level + 100.0 * test::noise_at(static_cast<uint64_t>(v * 1000 + t + 77777777)));
    }
  }
  return bold;
}

TEST(Standardise, GivesMeanZeroAndDeviationOneOverValidVoxels) {
  const StandardisedBold z = standardise(run_of(17), {});
  double sum = 0.0, square = 0.0, count = 0.0;
  for (size_t i = 0; i < z.halves().size(); ++i) {
    const double value = static_cast<double>(float_from_half(z.halves()[i]));
    if (z.valid[i % kValues] == 0) {
      ASSERT_EQ(z.halves()[i], 0) << "background is exactly 0, whatever lay there";
    } else {
      sum += value;
      square += value * value;
      count += 1.0;
    }
  }
  EXPECT_NEAR(sum / count, 0.0, 1e-5);
  EXPECT_NEAR(std::sqrt(square / count), 1.0, 1e-5);
  EXPECT_EQ(z.saturated, 0);
}

TEST(Standardise, RoundsOnceFromSourceUnits) {
  const PackedBold source = run_of(9);
  const StandardisedBold z = standardise(test::copy_of(source), {});
  double square = 0.0, count = 0.0;
  for (size_t i = 0; i < z.halves().size(); ++i) {
    if (z.valid[i % kValues] != 0) {
      const double exact = (static_cast<double>(source.values.floats()[i]) - z.run->mean) / z.run->sd;
      const double error = static_cast<double>(float_from_half(z.halves()[i])) - exact;
      square += error * error;
      count += 1.0;
    }
  }
  EXPECT_LT(std::sqrt(square / count), 4e-4);
}

TEST(Standardise, GivesEachVoxelItsOwnScaleWhenAsked) {
  const StandardisedBold z = standardise(run_of(31), {.zscore = "voxel"});
  EXPECT_FALSE(z.run.has_value());
  for (size_t v = 1; v < 200; v += 7) {
    if (z.valid[v] == 0) {
      continue;
    }
    double sum = 0.0, square = 0.0;
    for (int64_t t = 0; t < z.frames; ++t) {
      const double value =
          static_cast<double>(float_from_half(z.halves()[static_cast<size_t>(t * kValues) + v]));
      sum += value;
      square += value * value;
    }
    EXPECT_NEAR(sum / 31, 0.0, 2e-3);
    EXPECT_NEAR(std::sqrt(square / 31), 1.0, 2e-3);
  }
}

TEST(Standardise, GivesTheSameBitsForAnyThreadCountAndInstructionSet) {
  const tbb::global_control eight(tbb::global_control::max_allowed_parallelism, 8);
  const PackedBold source = run_of(23);
  for (const char* scope : {"run", "voxel"}) {
    const StandardisedBold reference =
        standardise(test::copy_of(source), {.zscore = scope}, Vectors::kPortable);
    for (const Vectors vectors : usable_vectors()) {
      for (const int threads : {1, 2, 8}) {
        tbb::task_arena arena(threads);
        const StandardisedBold z =
            arena.execute([&] { return standardise(test::copy_of(source), {.zscore = scope}, vectors); });
        ASSERT_TRUE(std::equal(z.halves().begin(), z.halves().end(), reference.halves().begin(),
                               reference.halves().end()));
        if (z.run.has_value()) {
          EXPECT_EQ(z.run->mean, reference.run->mean);
          EXPECT_EQ(z.run->sd, reference.run->sd);
        }
      }
    }
  }
}

TEST(Standardise, RefusesAnUnknownScopeAndARunWithoutVoxels) {
  EXPECT_EQ(test::code_of([] { standardise(run_of(2), {.zscore = "frame"}); }), "SB1002");
  PackedBold empty = run_of(2);
  empty.valid.assign(empty.valid.size(), 0);
  EXPECT_EQ(test::code_of([&] { standardise(std::move(empty), {}); }), "SB9001");
}

TEST(Standardise, NeverStoresANumberThatIsNone) {
  PackedBold bold = run_of(4);
  bold.frame(2)[6] = std::numeric_limits<float>::infinity();  // valid, against the rule
  EXPECT_EQ(test::code_of([&] { standardise(std::move(bold), {}); }), "SB9001");
}

TEST(Standardise, PacksValidFlagsLeastSignificantBitFirst) {
  StandardisedBold z;
  z.valid = {1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(z.valid_bits(), (std::vector<uint8_t>{0x81, 0x02}));
}

}  // namespace
}  // namespace slim::preproc
