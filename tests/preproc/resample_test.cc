// SPDX-License-Identifier: Apache-2.0
#include "preproc/resample.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>

#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

std::vector<float> white_noise(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> noise;
  std::vector<float> values(count);
  for (float& value : values) {
    value = noise(generator);
  }
  return values;
}

std::vector<std::array<double, 3>> points_inside(const std::array<int64_t, 3>& size, size_t count) {
  std::vector<std::array<double, 3>> points;
  for (size_t p = 0; p < count; ++p) {
    std::array<double, 3> point{};
    for (size_t a = 0; a < 3; ++a) {
      point[a] = test::noise_at(3 * p + a) * static_cast<double>(size[a] - 1);
    }
    points.push_back(point);
  }
  return points;
}

std::vector<float> at_points(const std::vector<float>& frame, const std::array<int64_t, 3>& size,
                             const std::vector<std::array<double, 3>>& points,
                             Vectors vectors = best_vectors()) {
  SplineCoefficients coefficients;
  prefilter(frame, size, coefficients, vectors);
  const SplineTaps taps = spline_taps(size, points);
  std::vector<float> out(points.size());
  interpolate(coefficients, taps, -1e30f, out, vectors);
  return out;
}

TEST(Spline, AgreesWithSciPyOnWhiteNoise) {
  test::TempFolder folder;
  std::ofstream cases(folder / "cases.txt");
  int number = 0;
  for (const std::array<int64_t, 3> size : {std::array<int64_t, 3>{2, 2, 2},
                                            {2, 3, 4},
                                            {5, 6, 7},
                                            {3, 17, 2},
                                            {8, 9, 33},
                                            {64, 31, 11},
                                            {13, 64, 40},
                                            {40, 2, 64},
                                            {64, 64, 64}}) {
    const auto frame =
        white_noise(static_cast<size_t>(size[0] * size[1] * size[2]), 11 + static_cast<unsigned>(number));
    const auto points = points_inside(size, 4000);
    const std::string stem = std::to_string(number++);
    test::write_values(folder / (stem + ".frame"), frame);
    test::write_values(folder / (stem + ".points"), points);
    test::write_values(folder / (stem + ".ours"), at_points(frame, size, points));
    cases << size[0] << ' ' << size[1] << ' ' << size[2] << '\n';
  }
  cases.close();
  const auto verdict = test::judge({"spline", folder.path().string()});
  if (!verdict.has_value()) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  ASSERT_EQ(verdict->exit_code, 0) << verdict->err;
  EXPECT_LT(std::stod(verdict->out), 2e-6) << verdict->out;
}

TEST(Spline, PassesThroughItsSamples) {
  const std::array<int64_t, 3> size{7, 5, 9};
  const auto frame = white_noise(7 * 5 * 9, 3);
  std::vector<std::array<double, 3>> points;
  for (int64_t v = 0; v < 7 * 5 * 9; ++v) {
    points.push_back(
        {static_cast<double>(v % 7), static_cast<double>(v / 7 % 5), static_cast<double>(v / 35)});
  }
  const auto values = at_points(frame, size, points);
  for (size_t v = 0; v < frame.size(); ++v) {
    EXPECT_NEAR(values[v], frame[v], 1e-5);
  }
}

TEST(Spline, KeepsAConstantAlongEveryAxisEvenOfOneVoxel) {
  for (const std::array<int64_t, 3> size : {std::array<int64_t, 3>{1, 6, 4}, {9, 1, 1}, {4, 4, 4}}) {
    const std::vector<float> frame(static_cast<size_t>(size[0] * size[1] * size[2]), 3.5f);
    for (const float value : at_points(frame, size, points_inside(size, 50))) {
      EXPECT_NEAR(value, 3.5f, 1e-5);
    }
  }
}

TEST(Spline, MovesHalfAVoxelOutsideToTheBorderAndCoversNothingBeyond) {
  const std::array<int64_t, 3> size{6, 6, 6};
  const auto frame = white_noise(216, 5);
  const std::vector<std::array<double, 3>> points{{-0.5, 2, 2}, {0, 2, 2},     {5.5, 3, 3},
                                                  {5, 3, 3},    {-0.51, 2, 2}, {3, 5.501, 3}};
  const SplineTaps taps = spline_taps(size, points);
  const auto values = at_points(frame, size, points);
  EXPECT_EQ(values[0], values[1]);
  EXPECT_EQ(values[2], values[3]);
  EXPECT_EQ(taps.first[4], -1);
  EXPECT_EQ(taps.first[5], -1);
  EXPECT_EQ(values[4], 0.0f);
  const std::vector<std::array<double, 3>> bad{{std::nan(""), 2, 2}};
  EXPECT_EQ(spline_taps(size, bad).first[0], -1);
}

TEST(Spline, RaisesUndershootToTheFloorAndCountsIt) {
  const std::array<int64_t, 3> size{8, 8, 8};
  std::vector<float> frame(512, 0.0f);
  frame[4 + 8 * (4 + 8 * 4)] = 100.0f;  // rings below 0 around a peak
  SplineCoefficients coefficients;
  prefilter(frame, size, coefficients);
  const SplineTaps taps = spline_taps(size, points_inside(size, 500));
  std::vector<float> out(500);
  EXPECT_GT(interpolate(coefficients, taps, 0.0f, out), 0);
  for (const float value : out) {
    EXPECT_GE(value, 0.0f);
  }
}

TEST(Spline, GivesTheSameBitsWithEveryInstructionSet) {
  const std::array<int64_t, 3> size{37, 23, 41};
  const auto frame = white_noise(static_cast<size_t>(37 * 23 * 41), 9);
  const auto points = points_inside(size, 10000);
  const auto portable = at_points(frame, size, points, Vectors::kPortable);
  for (const Vectors vectors : usable_vectors()) {
    EXPECT_EQ(at_points(frame, size, points, vectors), portable) << static_cast<int>(vectors);
  }
}

TEST(Spline, MarksWhatTouchesAValueThatIsNoNumber) {
  const std::array<int64_t, 3> size{10, 10, 10};
  std::vector<float> frame(1000, 1.0f);
  frame[555] = std::nanf("");  // voxel (5, 5, 5)
  const std::vector<std::array<double, 3>> points{{5.2, 5.2, 5.2}, {3.5, 5, 5}, {2.5, 5, 5}, {8.5, 8.5, 8.5}};
  std::vector<float> out(points.size(), 1.0f);
  mark_nonfinite(frame, spline_taps(size, points), out);
  EXPECT_TRUE(std::isnan(out[0]) && std::isnan(out[1]));
  EXPECT_FALSE(std::isnan(out[2]) || std::isnan(out[3]));
}

TEST(Linear, IsExactOnAPlane) {
  const std::array<int64_t, 3> size{5, 6, 7};
  std::vector<float> frame;
  for (int v = 0; v < 210; ++v) {
    frame.push_back(static_cast<float>(v % 5 + 2 * (v / 5 % 6) - 3 * (v / 30)));
  }
  const auto points = points_inside(size, 100);
  const auto values = interpolate_linear(frame, size, points);
  for (size_t p = 0; p < points.size(); ++p) {
    EXPECT_NEAR(values[p], points[p][0] + 2 * points[p][1] - 3 * points[p][2], 1e-5);
  }
}

}  // namespace
}  // namespace slim::preproc
