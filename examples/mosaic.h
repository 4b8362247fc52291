// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "core/slim_grid.h"
#include "examples/picture.h"

namespace slim::toy {

/// An image on the SLIM grid, x fastest, and which of its voxels count (0 or 1).
struct SlimImage {
  std::vector<float> values = std::vector<float>(kSlimVoxels, 0.0F);
  std::vector<float> valid = std::vector<float>(kSlimVoxels, 0.0F);
};

/// Values of valid voxels that 1 % and 99 % of them lie below. Error SB2020 when none is valid.
std::array<float, 2> usual_range(const SlimImage& image);

/// A signed image over the grey one: orange above 0, blue below (told apart by every kind of eye), the more
/// opaque the nearer to `full`; what is below a tenth of it is not drawn.
struct Overlay {
  const SlimImage& image;
  float full;
};
inline constexpr Colour kAbove{0.95F, 0.55F, 0.10F}, kBelow{0.20F, 0.55F, 0.98F};

int mosaic_width();
int mosaic_height();
/// 21 axial slices from z = -48 to +72 mm with the outline of the valid voxels, left on the left, anterior
/// up, L and R on the outer sides; (left, top) is the upper left corner. Grey runs over `range`.
void draw_mosaic(Picture& picture, const SlimImage& image, const std::array<float, 2>& range,
                 const Overlay* overlay, int left, int top);

}  // namespace slim::toy
