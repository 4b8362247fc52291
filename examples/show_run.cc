// SPDX-License-Identifier: Apache-2.0
// show_run STORE PICTURE.png: what a clip store holds, at a glance: axial slices of the mean z image with the
// outline of the valid voxels, left on the left, and the time course of their mean below.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "clips/clip_store.h"
#include "core/error.h"
#include "core/half.h"
#include "core/slim_grid.h"
#include "examples/picture.h"

namespace slim::toy {
namespace {

constexpr Colour kGround{0.06F, 0.07F, 0.09F}, kInk{0.86F, 0.88F, 0.90F}, kFaint{0.50F, 0.54F, 0.58F};
constexpr Colour kOutline{0.95F, 0.55F, 0.20F}, kTrace{0.35F, 0.75F, 0.95F}, kGrid{0.17F, 0.19F, 0.22F};
constexpr int kColumns = 7, kRows = 3, kZoom = 2, kMargin = 28, kHeader = 76, kPlotHeight = 150, kFooter = 44;
constexpr int64_t kFirstSlice = 14, kSliceStep = 3;                // z = -48 .. +72 mm, every 6 mm
constexpr int64_t kLowX = 7, kLowY = 1, kTileX = 82, kTileY = 95;  // the part of the grid that brains fill
constexpr int kTileWidth = static_cast<int>(kTileX) * kZoom, kTileHeight = static_cast<int>(kTileY) * kZoom;

/// The store on the SLIM grid, x fastest: the mean of each voxel over time, and which voxels are valid (0 or
/// 1).
struct MeanImage {
  std::vector<float> z = std::vector<float>(kSlimVoxels, 0.0F);
  std::vector<float> valid = std::vector<float>(kSlimVoxels, 0.0F);
};

MeanImage mean_image(const clips::ClipStore& store) {
  const auto values = static_cast<size_t>(store.frame_values());
  std::vector<double> sum(values, 0.0);
  std::vector<uint16_t> stored(values);
  std::vector<float> frame(values);
  for (int64_t t = 0; t < store.n_frames(); ++t) {
    store.read_frames(t, 1, stored);
    floats_from_halves(stored, frame);
    for (size_t v = 0; v < values; ++v) {
      sum[v] += static_cast<double>(frame[v]);
    }
  }
  const std::vector<int32_t> place = packaged_token_set().voxel_indices();
  MeanImage image;
  for (size_t v = 0; v < values; ++v) {
    image.z[static_cast<size_t>(place[v])] =
        static_cast<float>(sum[v] / static_cast<double>(store.n_frames()));
    image.valid[static_cast<size_t>(place[v])] = static_cast<float>(store.valid()[v / 8] >> (v % 8) & 1);
  }
  return image;
}

/// Values of valid voxels that 1 % and 99 % of them lie below.
std::array<float, 2> usual_range(const MeanImage& image) {
  std::vector<float> values;
  for (size_t i = 0; i < image.z.size(); ++i) {
    if (image.valid[i] != 0.0F) {
      values.push_back(image.z[i]);
    }
  }
  if (values.empty()) {
    throw Error(message::kBadStore, "The clip store has no valid voxel.");
  }
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
  };
  return {at(0.01), std::max(at(0.99), at(0.01) + 1e-6F)};
}

/// A slice between its voxels: share of valid voxels around a place, and their mean z.
struct Spot {
  float valid = 0.0F, z = 0.0F;
};

Spot spot_at(const MeanImage& image, double x, double y, int64_t z) {
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
      spot.z += static_cast<float>(weight) * image.valid[at] * image.z[at];
    }
  }
  spot.z /= std::max(spot.valid, 1e-6F);
  return spot;
}

/// Draws one axial slice. The grid's x runs from the patient's right to the left (Note [Grid]): it is turned
/// round here, so that the left side of the brain is on the left of the picture. Anterior is up.
void draw_slice(Picture& picture, const MeanImage& image, const std::array<float, 2>& range, int64_t z,
                int left, int top) {
  for (int v = 0; v < kTileHeight; ++v) {
    for (int u = 0; u < kTileWidth; ++u) {
      const double x = static_cast<double>(kLowX + kTileX - 1) - (u + 0.5) / kZoom + 0.5;
      const double y = static_cast<double>(kLowY + kTileY - 1) - (v + 0.5) / kZoom + 0.5;
      const Spot spot = spot_at(image, x, y, z);
      const float grey = 0.08F + 0.92F * std::clamp((spot.z - range[0]) / (range[1] - range[0]), 0.0F, 1.0F);
      picture.paint(left + u, top + v, {grey, grey, grey}, spot.valid);
      const double step = 0.5 / kZoom;
      const double slope = std::hypot(
          static_cast<double>(spot_at(image, x + step, y, z).valid - spot_at(image, x - step, y, z).valid),
          static_cast<double>(spot_at(image, x, y + step, z).valid - spot_at(image, x, y - step, z).valid));
      if (slope > 1e-3) {  // distance to the line of one half, in pixels
        const double away = std::abs(static_cast<double>(spot.valid) - 0.5) / slope;
        picture.paint(left + u, top + v, kOutline, static_cast<float>(0.9 * (1.1 - away)));
      }
    }
  }
  const auto mm = static_cast<int>(
      std::lround(kSlimScannerFromVoxel[2][2] * static_cast<double>(z) + kSlimScannerFromVoxel[2][3]));
  picture.text(left + 2, top + kTileHeight - 9, (mm > 0 ? "Z=+" : "Z=") + std::to_string(mm), kFaint, 1);
}

std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", std::abs(value) < 1e-9 ? 0.0 : value);
  return text.data();
}

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

/// Draws the mean of the valid voxels over time.
void draw_course(Picture& picture, const clips::ClipStore& store, int left, int top, int width, int height) {
  double n_valid = 0.0;
  for (const uint8_t byte : store.valid()) {
    n_valid += __builtin_popcount(byte);
  }
  std::vector<double> course;
  double reach = 1e-9;
  for (const double sum : store.frame_sum()) {
    course.push_back(sum / n_valid);
    reach = std::max(reach, std::abs(course.back()));
  }
  reach *= 1.1;
  const double tr = store.repetition_time_s(),
               end = tr * std::max<double>(1.0, static_cast<double>(course.size() - 1));
  const auto x_of = [&](double seconds) { return static_cast<float>(left + seconds / end * width); };
  const auto y_of = [&](double z) { return static_cast<float>(top + (0.5 - 0.5 * z / reach) * height); };
  for (double s = 0.0, step = tick_step(end, 8.0); s <= end; s += step) {
    const std::string label = short_number(s);
    picture.line(x_of(s), y_of(reach), x_of(s), y_of(-reach), kGrid, 1.0F);
    picture.text(static_cast<int>(x_of(s)) - Picture::text_width(label, 1) / 2, top + height + 8, label,
                 kFaint, 1);
  }
  const double step = tick_step(2.0 * reach, 6.0);
  for (double z = -step * std::floor(reach / step); z <= reach; z += step) {
    const std::string label = short_number(z);
    picture.line(x_of(0.0), y_of(z), x_of(end), y_of(z), kGrid, 1.0F);
    picture.text(left - 8 - Picture::text_width(label, 1), static_cast<int>(y_of(z)) - 3, label, kFaint, 1);
  }
  for (size_t t = 1; t < course.size(); ++t) {
    const double now = tr * static_cast<double>(t);
    picture.line(x_of(now - tr), y_of(course[t - 1]), x_of(now), y_of(course[t]), kTrace, 1.6F);
  }
  picture.text(left, top - 18, "mean z of valid voxels over time", kFaint, 1);
  picture.text(left + width - Picture::text_width("time (s)", 1), top + height + 22, "time (s)", kFaint, 1);
}

void show(const std::filesystem::path& store_path, const std::filesystem::path& picture_path) {
  const clips::ClipStore store = clips::ClipStore::open(store_path);
  const MeanImage image = mean_image(store);
  const std::array<float, 2> range = usual_range(image);
  const int mosaic = kRows * (kTileHeight + 8), width = kColumns * kTileWidth + 2 * kMargin;
  Picture picture(width, kHeader + mosaic + 28 + kPlotHeight + kFooter, kGround);
  std::string title = store_path.filename().string();
  title = title.substr(0, title.find("_desc"));
  picture.text(kMargin, 18, title, kInk, 2);
  picture.text(kMargin, 46,
               std::to_string(store.n_frames()) + " frames, one in " +
                   short_number(store.repetition_time_s()) + " s - mean z image, grey from " +
                   short_number(std::round(100.0 * static_cast<double>(range[0])) / 100.0) + " to " +
                   short_number(std::round(100.0 * static_cast<double>(range[1])) / 100.0) +
                   " - outline: valid voxels - left is left, anterior is up, z in mm",
               kFaint, 1);
  for (int i = 0; i < kColumns * kRows; ++i) {
    draw_slice(picture, image, range, kFirstSlice + kSliceStep * i, kMargin + i % kColumns * kTileWidth,
               kHeader + i / kColumns * (kTileHeight + 8));
  }
  for (int row = 0; row < kRows; ++row) {  // on the outer sides only: between two slices they would meet
    const int middle = kHeader + row * (kTileHeight + 8) + kTileHeight / 2 - Picture::text_height(2) / 2;
    picture.text(kMargin / 2, middle, "L", kInk, 2);
    picture.text(width - kMargin / 2 - Picture::text_width("R", 2), middle, "R", kInk, 2);
  }
  draw_course(picture, store, kMargin + 40, kHeader + mosaic + 28, width - 2 * kMargin - 50, kPlotHeight);
  picture.write_png(picture_path);
}

}  // namespace
}  // namespace slim::toy

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: show_run STORE_clips.safetensors PICTURE.png\n");
    return 64;
  }
  try {
    slim::toy::show(argv[1], argv[2]);
  } catch (const slim::Error& error) {
    std::fprintf(stderr, "show_run: error %s\n", error.what());
    return static_cast<int>(error.fault());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "show_run: %s\n", error.what());
    return 1;
  }
  std::printf("%s\n", argv[2]);
  return 0;
}
