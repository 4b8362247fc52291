// SPDX-License-Identifier: Apache-2.0
// Gates on a real run (elastixref), spoilt in one way at a time.
#include "preproc/gates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "preproc/pack.h"
#include "preproc/prepare_mni.h"
#include "preproc/voxel_statistics.h"
#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

/// The run packed once, with its mask.
struct RealRun {
  PackedBold bold;
  image::Volume mask;
  image::VoxelGrid grid;
  std::vector<float> frames;  // the input's, x fastest

  RealRun() {
    const auto files = test::elastixref();
    const auto source = image::open_frames(files->bold);
    grid = source->header().grid;
    std::vector<std::byte> raw(source->frame_bytes());
    const auto voxels = static_cast<size_t>(grid.voxels());
    frames.resize(voxels * static_cast<size_t>(source->header().frames));
    for (size_t t = 0; t < frames.size() / voxels; ++t) {
      source->next(raw);
      image::convert_voxels(source->header(), raw, std::span(frames).subspan(t * voxels, voxels));
    }
    bold = packed_on(grid);
    mask = image::read_volume(files->mask);
  }
  PackedBold packed_on(const image::VoxelGrid& where) const {
    test::MemorySource source(where, frames);
    PackedBold packed = pack(source, plan_pack(where), 0).bold;
    packed.repetition_time_s = 2.0;
    return packed;
  }
};

const RealRun* real_run() {
  static const std::unique_ptr<RealRun> run = test::elastixref() ? std::make_unique<RealRun>() : nullptr;
  return run.get();
}

GateReport gates_of(PackedBold bold, const image::Volume& mask, const GateOptions& options = {},
                    bool denoised = false) {
  const VoxelStatistics statistics = voxel_statistics(bold);
  const RunMask brain = run_mask(mask, bold, statistics);
  bold.valid = valid_voxels(brain, bold, statistics);
  return check_gates(bold, brain, statistics, denoised, options);
}

Verdict verdict_of(const GateReport& report, const std::string& name) {
  for (const Gate& gate : report.gates) {
    if (gate.name == name) {
      return gate.verdict;
    }
  }
  ADD_FAILURE() << "no gate " << name;
  return Verdict::kFail;
}

/// A copy whose every value is fn(value, voxel's mean, voxel's SD, t).
template <class Fn>
PackedBold changed(const PackedBold& bold, const Fn& fn) {
  const VoxelStatistics statistics = voxel_statistics(bold);
  PackedBold copy = test::copy_of(bold);
  for (int64_t t = 0; t < copy.frames; ++t) {
    for (size_t v = 0; v < statistics.mean.size(); ++v) {
      float& value = copy.frame(t)[v];
      value = static_cast<float>(fn(static_cast<double>(value), statistics.mean[v], statistics.sd[v], v, t));
    }
  }
  return copy;
}

class Gates : public testing::Test {
 protected:
  void SetUp() override {
    if (real_run() == nullptr) {
      GTEST_SKIP() << "no test data";
    }
  }
};

TEST_F(Gates, PassARealRun) {
  const GateReport report = gates_of(test::copy_of(real_run()->bold), real_run()->mask);
  for (const Gate& gate : report.gates) {
    EXPECT_EQ(gate.verdict, Verdict::kPass) << gate.name << " " << gate.value;
  }
  EXPECT_TRUE(report.warnings.empty());
  EXPECT_NEAR(report.coverage, 0.9283, 5e-5);
  EXPECT_NEAR(report.mask_dice, 0.92, 0.01);
  EXPECT_NEAR(report.mask_centre_mm, 5.0, 0.1);
}

TEST_F(Gates, RefuseDemeanedAndZScoredRunsUnlessAllowed) {
  const PackedBold& bold = real_run()->bold;
  const auto demeaned = [](double x, double mean, double, size_t, int64_t) { return x - mean; };
  const auto scored = [](double x, double mean, double sd, size_t, int64_t) {
    return sd > 0 ? (x - mean) / sd : 0.0;
  };
  EXPECT_EQ(test::code_of([&] { gates_of(changed(bold, demeaned), real_run()->mask); }), "SB2008");
  EXPECT_EQ(test::code_of([&] { gates_of(changed(bold, scored), real_run()->mask); }), "SB2008");
  const GateReport allowed = gates_of(changed(bold, demeaned), real_run()->mask, {.allow_demeaned = true});
  EXPECT_TRUE(allowed.demeaned);
  EXPECT_EQ(verdict_of(allowed, "demeaned"), Verdict::kFail);
  EXPECT_FALSE(allowed.warnings.empty());
}

TEST_F(Gates, RefusePercentSignalChange) {
  const auto percent = [](double x, double mean, double, size_t, int64_t) {
    return mean > 0 ? 100.0 * x / mean : 0.0;
  };
  EXPECT_EQ(test::code_of([&] { gates_of(changed(real_run()->bold, percent), real_run()->mask); }), "SB2008");
}

TEST_F(Gates, RefuseDenoisedByName) {
  EXPECT_EQ(test::code_of([&] { gates_of(test::copy_of(real_run()->bold), real_run()->mask, {}, true); }),
            "SB2008");
}

TEST_F(Gates, WarnOfALowPassedRun) {
  const PackedBold& bold = real_run()->bold;
  const PackedBold slow = changed(bold, [&](double x, double, double, size_t v, int64_t t) {
    double sum = x, weight = 1.0;  // a wide triangle in time
    for (int64_t k = 1; k <= 4; ++k) {
      for (const int64_t at : {t - k, t + k}) {
        if (at >= 0 && at < bold.frames) {
          const double w = 1.0 - 0.2 * static_cast<double>(k);
          sum += w * static_cast<double>(bold.frame(at)[v]);
          weight += w;
        }
      }
    }
    return sum / weight;
  });
  const GateReport report = gates_of(test::copy_of(slow), real_run()->mask);
  EXPECT_EQ(verdict_of(report, "low_passed"), Verdict::kWarn) << report.high_frequency_share;
}

TEST_F(Gates, WarnOfFewValuesThatAreNoNumbersAndRefuseMany) {
  const auto spoilt = [&](double share) {
    return changed(real_run()->bold, [=](double x, double, double, size_t v, int64_t t) {
      return t == 7 && test::noise_at(v) < share ? std::numeric_limits<double>::quiet_NaN() : x;
    });
  };
  const GateReport few = gates_of(spoilt(0.001), real_run()->mask);
  EXPECT_EQ(verdict_of(few, "values"), Verdict::kWarn);
  EXPECT_NEAR(few.nonfinite_share, 0.001, 2e-4);
  EXPECT_EQ(test::code_of([&] { gates_of(spoilt(0.05), real_run()->mask); }), "SB2015");
}

TEST_F(Gates, RefuseAConstantFrameAndEqualFramesButOnlyWarnOfAPair) {
  const PackedBold& bold = real_run()->bold;
  const auto constant = [](double x, double, double, size_t, int64_t t) { return t == 11 ? 5000.0 : x; };
  EXPECT_EQ(test::code_of([&] { gates_of(changed(bold, constant), real_run()->mask); }), "SB2015");
  const auto still = [&](double, double, double, size_t v, int64_t) {
    return static_cast<double>(bold.frame(0)[v]);
  };
  EXPECT_EQ(test::code_of([&] { gates_of(changed(bold, still), real_run()->mask); }), "SB2015");
  const auto pair = [&](double x, double, double, size_t v, int64_t t) {
    return t == 20 ? static_cast<double>(bold.frame(19)[v]) : x;
  };
  const GateReport report = gates_of(changed(bold, pair), real_run()->mask);
  EXPECT_EQ(verdict_of(report, "equal_frames"), Verdict::kWarn);
  EXPECT_EQ(report.equal_frames, 1);
}

TEST_F(Gates, RefuseARunTwentyFiveMillimetresOff) {
  image::VoxelGrid off = real_run()->grid;
  off.scanner_from_voxel[1][3] += 26.0;  // on the lattice, so that the copy is exact
  image::Volume mask = real_run()->mask;
  mask.grid.scanner_from_voxel[1][3] += 26.0;
  EXPECT_EQ(test::code_of([&] { gates_of(real_run()->packed_on(off), mask); }), "SB2017");
}

TEST_F(Gates, RefuseHalfAField) {
  image::Volume mask = real_run()->mask;
  const int64_t plane = mask.grid.size[0] * mask.grid.size[1];
  for (int64_t v = 0; v < plane * 40; ++v) {
    mask.values[static_cast<size_t>(v)] = 0.0f;
  }
  EXPECT_EQ(test::code_of([&] { gates_of(test::copy_of(real_run()->bold), mask); }), "SB2016");
}

TEST_F(Gates, FindTheBrainThemselvesWithoutAMask) {
  PackedBold bold = test::copy_of(real_run()->bold);
  const VoxelStatistics statistics = voxel_statistics(bold);
  const RunMask brain = run_mask(std::nullopt, bold, statistics);
  bold.valid = valid_voxels(brain, bold, statistics);
  const GateReport report = check_gates(bold, brain, statistics, false, {});
  EXPECT_GT(report.coverage, 0.9);
  EXPECT_GT(report.mask_dice, 0.80) << static_cast<int>(brain.source);
}

TEST_F(Gates, RefuseASpaceThatIsNoTemplateAndTooFewVolumes) {
  MniInput input{.bold = test::elastixref()->bold, .space = "T1w"};
  EXPECT_EQ(test::code_of([&] { prepare_mni(input, {}); }), "SB2007");
  input.space = "MNI152NLin6Asym";
  input.dummy_frames = 48;  // 12 left: 31 frames of 0.72 s
  EXPECT_EQ(test::code_of([&] { prepare_mni(input, {}); }), "SB2009");
  input.dummy_frames = 51;
  EXPECT_EQ(test::code_of([&] {
              prepare_mni(input,
                          {.time_grid = {}, .standardise = {}, .gates = {}, .length = {.min_volumes = 5}});
            }),
            "SB2009");
}

}  // namespace
}  // namespace slim::preproc
