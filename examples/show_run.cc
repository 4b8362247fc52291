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
#include "examples/chart.h"
#include "examples/mosaic.h"

namespace slim::toy {
namespace {

constexpr Colour kTrace{0.35F, 0.75F, 0.95F};
constexpr int kMargin = 28, kHeader = 76, kPlotHeight = 150, kFooter = 44;

/// The mean of each voxel over time, and which voxels are valid.
SlimImage mean_image(const clips::ClipStore& store) {
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
  SlimImage image;
  for (size_t v = 0; v < values; ++v) {
    image.values[static_cast<size_t>(place[v])] =
        static_cast<float>(sum[v] / static_cast<double>(store.n_frames()));
    image.valid[static_cast<size_t>(place[v])] = static_cast<float>(store.valid()[v / 8] >> (v % 8) & 1);
  }
  return image;
}

/// Draws the mean of the valid voxels over time.
void draw_course(Picture& picture, const clips::ClipStore& store, const Chart::Place& place) {
  double n_valid = 0.0;
  for (const uint8_t byte : store.valid()) {
    n_valid += __builtin_popcount(byte);
  }
  std::vector<std::array<double, 2>> course;
  double reach = 1e-9;
  const double tr = store.repetition_time_s();
  for (const double sum : store.frame_sum()) {
    course.push_back({tr * static_cast<double>(course.size()), sum / n_valid});
    reach = std::max(reach, std::abs(course.back()[1]));
  }
  reach *= 1.1;
  Chart chart(picture, place, std::max(tr, course.back()[0]), {-reach, reach},
              "mean z of valid voxels over time", "time (s)");
  chart.course(course, kTrace, 1.6F);
}

void show(const std::filesystem::path& store_path, const std::filesystem::path& picture_path) {
  const clips::ClipStore store = clips::ClipStore::open(store_path);
  const SlimImage image = mean_image(store);
  const std::array<float, 2> range = usual_range(image);
  const int mosaic = mosaic_height(), width = mosaic_width() + 2 * kMargin;
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
  draw_mosaic(picture, image, range, nullptr, kMargin, kHeader);
  draw_course(picture, store, {kMargin + 40, kHeader + mosaic + 28, width - 2 * kMargin - 50, kPlotHeight});
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
