// SPDX-License-Identifier: Apache-2.0
// Our spline against ITK's, inside the image.
#include <gtest/gtest.h>
#include <itkBSplineInterpolateImageFunction.h>
#include <itkImage.h>

#include <cmath>
#include <random>

#include "preproc/resample.h"
#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

TEST(Spline, AgreesWithItkInside) {
  using Image = itk::Image<float, 3>;
  const std::array<int64_t, 3> size{24, 31, 17};
  auto image = Image::New();
  image->SetRegions(Image::SizeType{{24, 31, 17}});
  image->Allocate();
  std::mt19937 generator(21);
  std::normal_distribution<float> noise;
  std::vector<float> frame(24 * 31 * 17);
  for (size_t v = 0; v < frame.size(); ++v) {
    frame[v] = noise(generator);
    image->GetBufferPointer()[v] = frame[v];
  }
  auto spline = itk::BSplineInterpolateImageFunction<Image, double, double>::New();
  spline->SetSplineOrder(3);
  spline->SetInputImage(image);
  std::vector<std::array<double, 3>> points;
  for (size_t p = 0; p < 5000; ++p) {
    std::array<double, 3> point{};
    for (size_t a = 0; a < 3; ++a) {
      point[a] = 1.0 + test::noise_at(7 * p + a) * static_cast<double>(size[a] - 3);
    }
    points.push_back(point);
  }
  SplineCoefficients coefficients;
  prefilter(frame, size, coefficients);
  std::vector<float> ours(points.size());
  interpolate(coefficients, spline_taps(size, points), -1e30f, ours);
  const double range = 8.0;  // of the noise, at least
  for (size_t p = 0; p < points.size(); ++p) {
    itk::ContinuousIndex<double, 3> at;
    for (unsigned a = 0; a < 3; ++a) {
      at[a] = points[p][a];
    }
    ASSERT_NEAR(ours[p], spline->EvaluateAtContinuousIndex(at), 1e-5 * range);
  }
}

}  // namespace
}  // namespace slim::preproc
