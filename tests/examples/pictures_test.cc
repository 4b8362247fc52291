// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <png.h>

#include <cmath>

#include "core/atomic_file.h"
#include "core/slim_grid.h"
#include "image/nifti_io.h"
#include "tests/support/run_program.h"

namespace slim {
namespace {

namespace fs = std::filesystem;

test::ProgramResult show(const std::string& program, const std::vector<std::string>& words) {
  return test::run_program(fs::path(SLIM_BINARY_DIR) / "bin" / program, words);
}

/// Red, green, blue of 0..255, row by row, and the width; empty when the file is no PNG.
std::vector<uint8_t> read_pixels(const fs::path& path, size_t& width) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  std::vector<uint8_t> rgb;
  if (png_image_begin_read_from_file(&image, path.c_str()) != 0) {
    image.format = PNG_FORMAT_RGB;
    width = image.width;
    rgb.resize(PNG_IMAGE_SIZE(image));
    png_image_finish_read(&image, nullptr, rgb.data(), 0, nullptr);
  }
  return rgb;
}

/// An ellipsoid about as large as a brain, `inside` where x in mm lies in low..high, 0 elsewhere.
void write_map(const fs::path& path, double low_mm, double high_mm, float inside) {
  const image::VoxelGrid grid = image::slim_grid();
  std::vector<float> values(static_cast<size_t>(grid.voxels()), 0.0F);
  for (size_t at = 0; at < values.size(); ++at) {
    const auto x = static_cast<double>(at % kSlimSize), y = static_cast<double>(at / kSlimSize % kSlimSize),
               z = static_cast<double>(at / (kSlimSize * kSlimSize));
    const auto mm = image::apply(grid.scanner_from_voxel, {x, y, z});
    const bool brain = std::hypot(mm[0] / 70.0, (mm[1] + 18.0) / 85.0, (mm[2] - 10.0) / 70.0) < 1.0;
    values[at] = brain && mm[0] >= low_mm && mm[0] <= high_mm ? inside : 0.0F;
  }
  image::write_nifti(path, grid, values, {});
}

TEST(ShowSaliency, PaintsTheLeftOnTheLeftAndTheSignsInTheirColours) {
  const test::TempFolder folder;
  write_map(folder / "mean.nii.gz", -90.0, 90.0, 1000.0F);
  write_map(folder / "up.nii.gz", -60.0, -20.0, 0.5F);
  write_map(folder / "down.nii.gz", 20.0, 60.0, -0.5F);
  const test::ProgramResult result =
      show("show_saliency", {(folder / "map.png").string(), (folder / "mean.nii.gz").string(),
                             (folder / "up.nii.gz").string(), (folder / "down.nii.gz").string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  size_t width = 0;
  const std::vector<uint8_t> rgb = read_pixels(folder / "map.png", width);
  ASSERT_GT(width, 1000u);
  // Along a row through the middle slices, orange (left) and blue (right) take turns.
  const size_t row = rgb.size() / (3 * width) / 2;
  size_t orange_to_blue = 0;
  int last = 0, now = 0;
  for (size_t x = 0; x < width; ++x) {
    const uint8_t* const pixel = &rgb[3 * (row * width + x)];
    now = pixel[0] > pixel[2] + 60 ? 1 : pixel[2] > pixel[0] + 60 ? -1 : 0;
    orange_to_blue += last == 1 && now == -1;
    last = now != 0 ? now : last;
  }
  EXPECT_EQ(orange_to_blue, 7u);
}

TEST(ShowSaliency, RefusesImagesOfOtherGrids) {
  const test::TempFolder folder;
  image::VoxelGrid grid = image::slim_grid();
  grid.size = {10, 10, 10};
  image::write_nifti(folder / "small.nii.gz", grid, std::vector<float>(1000, 1.0F), {});
  EXPECT_EQ(show("show_saliency", {(folder / "map.png").string(), (folder / "small.nii.gz").string(),
                                   (folder / "small.nii.gz").string()})
                .exit_code,
            65);
  EXPECT_FALSE(fs::exists(folder / "map.png"));
}

TEST(ShowTraining, DrawsTrainingAndValidationOfBothStages) {
  const test::TempFolder folder;
  const auto write_logs = [](const fs::path& model) {
    fs::create_directories(model);
    write_text(model / "metrics.jsonl",
               "{\"step\":1,\"loss\":0.9}\n{\"step\":2,\"loss\":0.5}\n{\"step\":3,\"loss\":0.3}\n");
    write_text(model / "history.tsv", "step\tepoch\tloss\tval_loss\n2\t1\t0.7\tn/a\n3\t2\t0.3\t0.4\n");
  };
  const fs::path model = folder / "model-x";
  write_logs(model);
  ASSERT_EQ(show("show_training", {model.string(), (folder / "one.png").string()}).exit_code, 0);
  write_logs(model / "stage1");
  ASSERT_EQ(show("show_training", {model.string(), (folder / "two.png").string()}).exit_code, 0);
  size_t width = 0;
  const auto one = read_pixels(folder / "one.png", width), two = read_pixels(folder / "two.png", width);
  EXPECT_GT(two.size(), one.size() + one.size() / 2);
  EXPECT_EQ(show("show_training", {(folder / "absent").string(), (folder / "no.png").string()}).exit_code,
            66);
}

}  // namespace
}  // namespace slim
