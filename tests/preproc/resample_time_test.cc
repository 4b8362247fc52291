// SPDX-License-Identifier: Apache-2.0
#include "preproc/resample_time.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numbers>

#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

std::vector<float> resampled(const std::vector<float>& in, int64_t frames, double tr, int64_t voxels,
                             double target, std::span<const double> lowpass = {}) {
  const TimeGridOptions options{.repetition_time_s = target};
  const int64_t frames_out = resampled_frames(frames, tr, options);
  std::vector<float> out(static_cast<size_t>(frames_out * voxels));
  resample_courses(in, frames, tr, out, frames_out, target, voxels, lowpass);
  return out;
}

std::vector<float> wave(double hertz, double tr, int64_t frames) {
  std::vector<float> values;
  for (int64_t t = 0; t < frames; ++t) {
    values.push_back(
        static_cast<float>(std::sin(2 * std::numbers::pi * hertz * tr * static_cast<double>(t))));
  }
  return values;
}

TEST(TimeGrid, CountsFramesAsDocumented) {
  const TimeGridOptions options;
  const std::vector<std::tuple<int64_t, double, int64_t>> rows{
      {78, 2.0, 214}, {60, 2.0, 164},     {300, 2.0, 831}, {155, 1.97, 422}, {16, 2.0, 42}, {15, 2.0, 39},
      {20, 2.52, 67}, {1200, 0.72, 1200}, {100, 0.8, 100}, {100, 0.7, 100},  {1, 2.0, 1},   {100, 0.69, 95}};
  for (const auto& [frames, tr, stored] : rows) {
    EXPECT_EQ(resampled_frames(frames, tr, options), stored) << frames << " x " << tr;
  }
}

TEST(TimeGrid, NeverReachesBeyondTheLastSample) {
  const TimeGridOptions options;
  for (double tr = 0.81; tr < 4.0; tr += 0.0137) {
    for (int64_t frames = 2; frames < 90; frames += 7) {
      const double last =
          static_cast<double>(resampled_frames(frames, tr, options) - 1) * options.repetition_time_s;
      EXPECT_LE(last, static_cast<double>(frames - 1) * tr + 1e-5);
      EXPECT_GT(last + options.repetition_time_s, static_cast<double>(frames - 1) * tr - 1e-5);
    }
  }
}

TEST(TimeGrid, KeepsTheRangeWithItsEnds) {
  const TimeGridOptions options;
  EXPECT_TRUE(keeps_sampling(0.7, options) && keeps_sampling(0.8, options) && keeps_sampling(0.72, options));
  EXPECT_FALSE(keeps_sampling(0.6999, options) || keeps_sampling(0.8001, options));
  EXPECT_EQ(time_interpolation_name(0.72, options), "none");
  EXPECT_EQ(time_interpolation_name(2.0, options), "cubic-not-a-knot");
  EXPECT_EQ(time_interpolation_name(0.4, options), "cubic-not-a-knot+lowpass");
  EXPECT_EQ(time_interpolation_name(0.4, {.antialias = false}), "cubic-not-a-knot");
}

TEST(TimeGrid, AgreesWithSciPysCubicSplineAtEveryLength) {
  test::TempFolder folder;
  std::ofstream cases(folder / "cases.txt");
  int number = 0;
  const int64_t voxels = 300;  // more than one block
  for (const int64_t frames : {5, 6, 7, 8, 11, 16, 40, 77, 155, 300}) {
    const double tr = 0.9 + 0.37 * static_cast<double>(number);
    std::vector<float> in;
    for (int64_t i = 0; i < frames * voxels; ++i) {
      in.push_back(static_cast<float>(1000.0 * test::noise_at(static_cast<uint64_t>(i + 1000000 * number))));
    }
    const auto out = resampled(in, frames, tr, voxels, 0.72);
    test::write_values(folder / (std::to_string(number) + ".in"), in);
    test::write_values(folder / (std::to_string(number) + ".out"), out);
    cases.precision(17);
    cases << frames << ' ' << static_cast<int64_t>(out.size()) / voxels << ' ' << voxels << ' ' << tr
          << " 0.72\n";
    ++number;
  }
  cases.close();
  const auto verdict = test::judge({"time", folder.path().string()});
  if (!verdict.has_value()) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  ASSERT_EQ(verdict->exit_code, 0) << verdict->err;
  EXPECT_LT(std::stod(verdict->out), 1e-6) << verdict->out;
}

TEST(TimeGrid, IsExactForACubicAndForFewSamples) {
  for (const int64_t frames : {1, 2, 3, 4, 5, 9}) {
    const int degree = frames > 3 ? 3 : static_cast<int>(frames) - 1;
    const auto curve = [&](double t) {
      return 3.0 - (degree > 0 ? 2 * t : 0) + (degree > 1 ? 0.5 * t * t : 0) -
             (degree > 2 ? 0.1 * t * t * t : 0);
    };
    std::vector<float> in;
    for (int64_t t = 0; t < frames; ++t) {
      in.push_back(static_cast<float>(curve(2.0 * static_cast<double>(t))));
    }
    const auto out = resampled(in, frames, 2.0, 1, 0.72);
    for (size_t t = 0; t < out.size(); ++t) {
      EXPECT_NEAR(out[t], curve(0.72 * static_cast<double>(t)), 1e-4) << frames;
    }
  }
}

TEST(TimeGrid, KeepsATenthOfAHertzToAPercent) {
  const auto out = resampled(wave(0.1, 2.0, 150), 150, 2.0, 1, 0.72);
  double error = 0.0, power = 0.0;
  for (size_t t = 20; t + 20 < out.size(); ++t) {
    const double truth = std::sin(2 * std::numbers::pi * 0.1 * 0.72 * static_cast<double>(t));
    error += (out[t] - truth) * (out[t] - truth);
    power += truth * truth;
  }
  EXPECT_LT(std::sqrt(error / power), 0.01);
}

TEST(TimeGrid, RemovesWhatWouldFoldBackAndKeepsTheRest) {
  const auto weights = lowpass_weights(0.4, 0.72);
  double total = weights[0];
  for (size_t k = 1; k < weights.size(); ++k) {
    total += 2 * weights[k];
  }
  EXPECT_NEAR(total, 1.0, 1e-12);
  const auto level = [&](double hertz) {
    const auto out = resampled(wave(hertz, 0.4, 600), 600, 0.4, 1, 0.72, weights);
    double power = 0.0;
    for (size_t t = 30; t + 30 < out.size(); ++t) {
      power += out[t] * out[t];
    }
    return 10 * std::log10(power / (0.5 * static_cast<double>(out.size() - 60)));
  };
  EXPECT_LT(level(1.1), -40.0);
  EXPECT_NEAR(level(0.63), -6.0, 1.5);
  EXPECT_NEAR(level(0.1), 0.0, 0.1);
}

TEST(TimeGrid, LowPassKeepsAConstantAndALineToTheEnds) {
  const auto weights = lowpass_weights(0.4, 0.72);
  for (const int64_t frames : {3, 5, 12, 100}) {  // also shorter than the filter
    std::vector<float> line;
    for (int64_t t = 0; t < frames; ++t) {
      line.push_back(5.0f + 0.25f * static_cast<float>(t));
    }
    const auto out = resampled(line, frames, 0.4, 1, 0.72, weights);
    for (size_t t = 0; t < out.size(); ++t) {
      EXPECT_NEAR(out[t], 5.0 + 0.25 * 1.8 * static_cast<double>(t), 1e-4) << frames;
    }
  }
}

}  // namespace
}  // namespace slim::preproc
