// SPDX-License-Identifier: Apache-2.0
// show_saliency PICTURE.png MEAN.nii.gz MAP.nii.gz [MAP.nii.gz ...]: the mean of saliency maps over a run's
// mean image, all on the SLIM grid: axial slices, left on the left; orange raises the score of the second
// class (or the number), blue lowers it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "examples/mosaic.h"
#include "image/nifti_io.h"
#include "image/voxel_grid.h"

namespace fs = std::filesystem;

namespace slim::toy {
namespace {

constexpr int kMargin = 28, kHeader = 76, kFooter = 56, kBarWidth = 300;

std::vector<float> read_on_slim_grid(const fs::path& path) {
  image::Volume volume = image::read_volume(path);
  const image::VoxelGrid slim = image::slim_grid();
  if (volume.grid.size != slim.size || volume.grid.scanner_from_voxel != slim.scanner_from_voxel) {
    throw Error(message::kBadStore, "The image does not lie on the SLIM grid.",
                {.file = path.string(), .expected = "96 x 96 x 96 voxels of 2 mm, res-slim"});
  }
  return std::move(volume.values);
}

/// |value| that 99.5 % of the voxels with any lie below.
float full_strength(const std::vector<float>& values) {
  std::vector<float> sizes;
  for (const float value : values) {
    if (value != 0.0F) {
      sizes.push_back(std::abs(value));
    }
  }
  if (sizes.empty()) {
    return 1.0F;
  }
  const auto place = sizes.begin() + static_cast<int64_t>(0.995 * static_cast<double>(sizes.size() - 1));
  std::nth_element(sizes.begin(), place, sizes.end());
  return std::max(*place, 1e-30F);
}

/// Negative to positive, as it is painted at half grey.
void draw_bar(Picture& picture, float full, int left, int top) {
  for (int x = 0; x < kBarWidth; ++x) {
    const float value = 2.0F * static_cast<float>(x) / static_cast<float>(kBarWidth - 1) - 1.0F;
    picture.fill(left + x, top, 1, 12, {0.35F, 0.35F, 0.35F});
    for (int y = 0; y < 12 && std::abs(value) >= 0.1F; ++y) {
      picture.paint(left + x, top + y, value > 0.0F ? kAbove : kBelow, 0.25F + 0.75F * std::abs(value));
    }
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2g", static_cast<double>(full));
  const std::string high = std::string("+") + text.data(), low = std::string("-") + text.data();
  picture.text(left - 8 - Picture::text_width(low, 1), top + 3, low, kFaint, 1);
  picture.text(left + kBarWidth + 8, top + 3, high, kFaint, 1);
}

void show(const fs::path& picture_path, const fs::path& mean_path, const std::vector<fs::path>& maps) {
  SlimImage ground{.values = read_on_slim_grid(mean_path)};
  std::transform(ground.values.begin(), ground.values.end(), ground.valid.begin(),
                 [](float value) { return value != 0.0F ? 1.0F : 0.0F; });
  SlimImage map;
  map.valid.assign(map.valid.size(), 1.0F);
  for (const fs::path& path : maps) {
    const std::vector<float> one = read_on_slim_grid(path);
    for (size_t i = 0; i < one.size(); ++i) {
      map.values[i] += one[i] / static_cast<float>(maps.size());
    }
  }
  const Overlay overlay{map, full_strength(map.values)};
  const int width = mosaic_width() + 2 * kMargin;
  Picture picture(width, kHeader + mosaic_height() + kFooter, kGround);
  std::string title = maps.front().filename().string();
  title = title.substr(title.find("stat-") == std::string::npos ? 0 : title.find("stat-"));
  picture.text(kMargin, 18, title.substr(0, title.find("_boldmap")), kInk, 2);
  picture.text(kMargin, 46,
               (maps.size() == 1 ? "a map" : "mean of " + std::to_string(maps.size()) + " maps") +
                   " over the mean image of a run - share of each voxel in the score: orange raises, blue "
                   "lowers it - left is left, anterior is up, z in mm",
               kFaint, 1);
  draw_mosaic(picture, ground, usual_range(ground), &overlay, kMargin, kHeader);
  draw_bar(picture, overlay.full, (width - kBarWidth) / 2, kHeader + mosaic_height() + 16);
  picture.write_png(picture_path);
}

}  // namespace
}  // namespace slim::toy

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: show_saliency PICTURE.png MEAN.nii.gz MAP.nii.gz [MAP.nii.gz ...]\n");
    return 64;
  }
  try {
    slim::toy::show(argv[1], argv[2], {argv + 3, argv + argc});
  } catch (const slim::Error& error) {
    std::fprintf(stderr, "show_saliency: error %s\n", error.what());
    return static_cast<int>(error.fault());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "show_saliency: %s\n", error.what());
    return 1;
  }
  std::printf("%s\n", argv[1]);
  return 0;
}
