// SPDX-License-Identifier: Apache-2.0
#include "examples/chart.h"

#include <cmath>
#include <cstdio>

namespace slim::toy {
namespace {

constexpr Colour kGrid{0.17F, 0.19F, 0.22F};

/// A step of 1, 2 or 5 times a power of ten that divides a span into about `parts`.
double tick_step(double span, double parts) {
  const double rough = span / parts, power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) {
      return factor * power;
    }
  }
  return 10.0 * power;
}

}  // namespace

std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", std::abs(value) < 1e-9 ? 0.0 : value);
  return text.data();
}

Chart::Chart(Picture& picture, const Place& place, double x_end, const std::array<double, 2>& low_high,
             std::string_view name, std::string_view x_name)
    : picture_(picture), place_(place), x_end_(x_end), low_(low_high[0]), high_(low_high[1]) {
  const double x_step = tick_step(x_end, 8.0), y_step = tick_step(high_ - low_, 6.0);
  for (double x = 0.0; x <= x_end; x += x_step) {
    const std::string label = short_number(x);
    picture.line(x_of(x), y_of(high_), x_of(x), y_of(low_), kGrid, 1.0F);
    picture.text(static_cast<int>(x_of(x)) - Picture::text_width(label, 1) / 2, place.top + place.height + 8,
                 label, kFaint, 1);
  }
  for (double y = y_step * std::ceil(low_ / y_step); y <= high_; y += y_step) {
    const std::string label = short_number(y);
    picture.line(x_of(0.0), y_of(y), x_of(x_end), y_of(y), kGrid, 1.0F);
    picture.text(place.left - 8 - Picture::text_width(label, 1), static_cast<int>(y_of(y)) - 3, label, kFaint,
                 1);
  }
  picture.text(place.left, place.top - 18, name, kFaint, 1);
  picture.text(place.left + place.width - Picture::text_width(x_name, 1), place.top + place.height + 22,
               x_name, kFaint, 1);
}

float Chart::x_of(double x) const { return static_cast<float>(place_.left + x / x_end_ * place_.width); }
float Chart::y_of(double y) const {
  return static_cast<float>(place_.top + (high_ - y) / (high_ - low_) * place_.height);
}

void Chart::course(std::span<const std::array<double, 2>> points, const Colour& colour, float thickness) {
  for (size_t i = points.size() == 1 ? 0 : 1; i < points.size(); ++i) {
    const auto& from = points[i == 0 ? 0 : i - 1];
    picture_.line(x_of(from[0]), y_of(from[1]), x_of(points[i][0]), y_of(points[i][1]), colour,
                  points.size() == 1 ? 3.0F * thickness : thickness);
  }
}

}  // namespace slim::toy
