// SPDX-License-Identifier: Apache-2.0
#include "examples/toy_space.h"

#include <cmath>
#include <string>

#include "core/error.h"

namespace slim::toy {

using image::Affine;
using image::compose;
using image::VoxelGrid;

Affine similarity(const std::array<double, 3>& angles, double scale, const std::array<double, 3>& shift_mm) {
  Affine result{
      {{scale, 0.0, 0.0, shift_mm[0]}, {0.0, scale, 0.0, shift_mm[1]}, {0.0, 0.0, scale, shift_mm[2]}}};
  for (size_t k = 3; k-- > 0;) {  // inner to outer: x, y, z
    const size_t axis = k, a = (axis + 1) % 3, b = (axis + 2) % 3;
    const double c = std::cos(angles[axis]), s = std::sin(angles[axis]);
    Affine turn{{{1.0, 0.0, 0.0, 0.0}, {0.0, 1.0, 0.0, 0.0}, {0.0, 0.0, 1.0, 0.0}}};
    turn[a][a] = c;
    turn[a][b] = -s;
    turn[b][a] = s;
    turn[b][b] = c;
    result = compose(result, turn);
  }
  return result;
}

VoxelGrid box_grid(std::string_view orientation, const std::array<double, 3>& low_mm,
                   const std::array<double, 3>& high_mm, double voxel_mm) {
  constexpr std::string_view kLetters = "LRPAIS";  // two a world axis, the negative end first
  VoxelGrid grid;
  std::array<bool, 3> used{};
  for (size_t row = 0; row < 3; ++row) {
    grid.scanner_from_voxel[row] = {0.0, 0.0, 0.0, 0.0};
  }
  for (size_t axis = 0; axis < 3; ++axis) {
    const size_t letter =
        axis < orientation.size() ? kLetters.find(orientation[axis]) : std::string_view::npos;
    if (orientation.size() != 3 || letter == std::string_view::npos || used[letter / 2]) {
      throw Error(message::kBadValue,
                  "--orientation needs one letter of L/R, of P/A and of I/S, for example LAS.",
                  {.found = std::string(orientation)});
    }
    const size_t world = letter / 2;
    const bool upward = letter % 2 == 1;
    used[world] = true;
    grid.size[axis] = std::lround(std::floor((high_mm[world] - low_mm[world]) / voxel_mm + 1e-6)) + 1;
    grid.scanner_from_voxel[world][axis] = upward ? voxel_mm : -voxel_mm;
    const double span = static_cast<double>(grid.size[axis] - 1) * voxel_mm;
    grid.scanner_from_voxel[world][3] = upward ? low_mm[world] : low_mm[world] + span;
  }
  return grid;
}

}  // namespace slim::toy
