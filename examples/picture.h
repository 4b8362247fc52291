// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace slim::toy {

/// Red, green, blue, 0..1.
using Colour = std::array<float, 3>;
inline constexpr Colour kGround{0.06F, 0.07F, 0.09F}, kInk{0.86F, 0.88F, 0.90F}, kFaint{0.50F, 0.54F, 0.58F};

/// A picture in memory; (0, 0) is the upper left pixel. Drawing outside it does nothing.
class Picture {
 public:
  Picture(int width, int height, const Colour& ground);
  int width() const { return width_; }
  int height() const { return height_; }

  /// Blends a colour over a pixel; opacity 0..1.
  void paint(int x, int y, const Colour& colour, float opacity = 1.0F);
  void fill(int x, int y, int width, int height, const Colour& colour);
  /// A line with soft edges between two points.
  void line(float x0, float y0, float x1, float y1, const Colour& colour, float thickness);
  /// Text in capital letters of 5 x 7 dots, each scale x scale pixels; its upper left corner is (x, y).
  void text(int x, int y, std::string_view words, const Colour& colour, int scale);
  static int text_width(std::string_view words, int scale);
  static int text_height(int scale) { return 7 * scale; }

  /// Writes a PNG. Errors SB5001, SB5002.
  void write_png(const std::filesystem::path& path) const;

 private:
  int width_, height_;
  std::vector<Colour> pixels_;
};

}  // namespace slim::toy
