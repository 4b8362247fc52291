// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "examples/picture.h"

namespace slim::toy {

/// A number in six digits at most, without an exponent where it can be.
std::string short_number(double value);

/// A frame with grid lines and numbers, in which courses are drawn.
class Chart {
 public:
  struct Place {
    int left, top, width, height;
  };
  /// x runs from 0 to x_end, y from low to high; the names stand above the frame and below its right end.
  Chart(Picture& picture, const Place& place, double x_end, const std::array<double, 2>& low_high,
        std::string_view name, std::string_view x_name);
  /// A line through points (x, y); a lone point is a dot.
  void course(std::span<const std::array<double, 2>> points, const Colour& colour, float thickness);

 private:
  float x_of(double x) const;
  float y_of(double y) const;
  Picture& picture_;
  Place place_;
  double x_end_, low_, high_;
};

}  // namespace slim::toy
