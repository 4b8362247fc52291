// SPDX-License-Identifier: Apache-2.0
#include "examples/mosaic.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace slim::toy {
namespace {

constexpr Colour kOutline{0.95F, 0.55F, 0.20F}, kPlainOutline{0.45F, 0.48F, 0.52F};
constexpr int kColumns = 7, kRows = 3, kZoom = 2, kGap = 8;
constexpr int64_t kFirstSlice = 14, kSliceStep = 3;                // z = -48 .. +72 mm, every 6 mm
constexpr int64_t kLowX = 7, kLowY = 1, kTileX = 82, kTileY = 95;  // the part of the grid that brains fill
constexpr int kTileWidth = static_cast<int>(kTileX) * kZoom, kTileHeight = static_cast<int>(kTileY) * kZoom;

/// A slice between its voxels: share of valid voxels around a place, and their mean value.
struct Spot {
  float valid = 0.0F, value = 0.0F;
};

Spot spot_at(const SlimImage& image, double x, double y, int64_t z) {
  const auto x0 = static_cast<int64_t>(std::floor(x)), y0 = static_cast<int64_t>(std::floor(y));
  Spot spot;
  for (int64_t dy = 0; dy < 2; ++dy) {
    for (int64_t dx = 0; dx < 2; ++dx) {
      const auto at =
          static_cast<size_t>(std::clamp<int64_t>(x0 + dx, 0, kSlimSize - 1) +
                              kSlimSize * (std::clamp<int64_t>(y0 + dy, 0, kSlimSize - 1) + kSlimSize * z));
      const double weight = (dx == 0 ? 1.0 - (x - static_cast<double>(x0)) : x - static_cast<double>(x0)) *
                            (dy == 0 ? 1.0 - (y - static_cast<double>(y0)) : y - static_cast<double>(y0));
      spot.valid += static_cast<float>(weight) * image.valid[at];
      spot.value += static_cast<float>(weight) * image.valid[at] * image.values[at];
    }
  }
  spot.value /= std::max(spot.valid, 1e-6F);
  return spot;
}

/// How strongly the outline runs through a place: distance to the line of one half valid, in pixels.
float outline_at(const SlimImage& image, double x, double y, int64_t z, float valid) {
  const double step = 0.5 / kZoom;
  const double slope = std::hypot(
      static_cast<double>(spot_at(image, x + step, y, z).valid - spot_at(image, x - step, y, z).valid),
      static_cast<double>(spot_at(image, x, y + step, z).valid - spot_at(image, x, y - step, z).valid));
  const double away = std::abs(static_cast<double>(valid) - 0.5) / std::max(slope, 1e-9);
  return slope > 1e-3 ? static_cast<float>(0.9 * (1.1 - away)) : 0.0F;
}

/// Draws one axial slice. The grid's x runs from the patient's right to the left (Note [Grid]): it is turned
/// round here, so that the left side of the brain is on the left of the picture. Anterior is up.
void draw_slice(Picture& picture, const SlimImage& image, const std::array<float, 2>& range,
                const Overlay* overlay, int64_t z, int left, int top) {
  for (int v = 0; v < kTileHeight; ++v) {
    for (int u = 0; u < kTileWidth; ++u) {
      const double x = static_cast<double>(kLowX + kTileX - 1) - (u + 0.5) / kZoom + 0.5;
      const double y = static_cast<double>(kLowY + kTileY - 1) - (v + 0.5) / kZoom + 0.5;
      const Spot spot = spot_at(image, x, y, z);
      const float share = std::clamp((spot.value - range[0]) / (range[1] - range[0]), 0.0F, 1.0F);
      const float grey = 0.08F + (overlay == nullptr ? 0.92F : 0.6F) * share;
      picture.paint(left + u, top + v, {grey, grey, grey}, spot.valid);
      if (overlay != nullptr) {
        const Spot over = spot_at(overlay->image, x, y, z);
        const float strength = std::abs(over.value) / overlay->full;
        if (strength >= 0.1F) {
          picture.paint(left + u, top + v, over.value > 0.0F ? kAbove : kBelow,
                        over.valid * (0.25F + 0.75F * std::min(1.0F, strength)));
        }
      }
      picture.paint(left + u, top + v, overlay == nullptr ? kOutline : kPlainOutline,
                    outline_at(image, x, y, z, spot.valid));
    }
  }
  const auto mm = static_cast<int>(
      std::lround(kSlimScannerFromVoxel[2][2] * static_cast<double>(z) + kSlimScannerFromVoxel[2][3]));
  picture.text(left + 2, top + kTileHeight - 9, (mm > 0 ? "Z=+" : "Z=") + std::to_string(mm), kFaint, 1);
}

}  // namespace

std::array<float, 2> usual_range(const SlimImage& image) {
  std::vector<float> values;
  for (size_t i = 0; i < image.values.size(); ++i) {
    if (image.valid[i] != 0.0F) {
      values.push_back(image.values[i]);
    }
  }
  if (values.empty()) {
    throw Error(message::kBadStore, "The image has no valid voxel.");
  }
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
  };
  const float low = at(0.01);
  return {low, std::max(at(0.99), low + 1e-3F * std::max(1e-3F, std::abs(low)))};  // an image may be flat
}

int mosaic_width() { return kColumns * kTileWidth; }
int mosaic_height() { return kRows * (kTileHeight + kGap); }

void draw_mosaic(Picture& picture, const SlimImage& image, const std::array<float, 2>& range,
                 const Overlay* overlay, int left, int top) {
  for (int i = 0; i < kColumns * kRows; ++i) {
    draw_slice(picture, image, range, overlay, kFirstSlice + kSliceStep * i, left + i % kColumns * kTileWidth,
               top + i / kColumns * (kTileHeight + kGap));
  }
  for (int row = 0; row < kRows; ++row) {  // on the outer sides only: between two slices they would meet
    const int middle = top + row * (kTileHeight + kGap) + kTileHeight / 2 - Picture::text_height(2) / 2;
    picture.text(left / 2, middle, "L", kInk, 2);
    picture.text(left + mosaic_width() + left / 2 - Picture::text_width("R", 2), middle, "R", kInk, 2);
  }
}

}  // namespace slim::toy
