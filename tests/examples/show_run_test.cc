// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <png.h>

#include "clips/clip_store.h"
#include "core/atomic_file.h"
#include "core/half.h"
#include "tests/support/run_program.h"

namespace slim {
namespace {

namespace fs = std::filesystem;

test::ProgramResult show_run(const fs::path& store, const fs::path& picture) {
  return test::run_program(fs::path(SLIM_BINARY_DIR) / "bin" / "show_run",
                           {store.string(), picture.string()});
}

/// A store of a brain that is bright where x < 0 (left, RAS) and dark elsewhere.
void write_left_bright_store(const fs::path& path, int64_t frames) {
  const TokenSet& tokens = packaged_token_set();
  const std::vector<int32_t> place = tokens.voxel_indices();
  const std::vector<uint8_t>& brain = packaged_brain_mask();
  std::vector<uint16_t> bold(place.size() * static_cast<size_t>(frames), 0);
  std::vector<uint8_t> valid(place.size() / 8, 0);
  for (size_t v = 0; v < place.size(); ++v) {
    const auto at = static_cast<size_t>(place[v]);
    if (brain[at] == 0) {
      continue;
    }
    valid[v / 8] = static_cast<uint8_t>(valid[v / 8] | 1 << v % 8);
    const double x_mm =
        kSlimScannerFromVoxel[0][0] * static_cast<double>(at % kSlimSize) + kSlimScannerFromVoxel[0][3];
    for (size_t t = 0; t < static_cast<size_t>(frames); ++t) {
      bold[t * place.size() + v] =
          half_from_float((x_mm < 0.0 ? 1.0F : -1.0F) + 0.01F * static_cast<float>(t));
    }
  }
  clips::write_clip_store(path, {.n_frames = frames,
                                 .bold = bold,
                                 .valid = valid,
                                 .metadata = {{"slimbrain_clips", "1"},
                                              {"grid", kSlimGridName},
                                              {"token_mask_sha256", tokens.mask_sha256},
                                              {"token_order_sha256", tokens.order_sha256},
                                              {"n_frames", std::to_string(frames)},
                                              {"repetition_time_s", "0.72"}}});
}

/// A PNG as red, green, blue of 0..255, row by row.
struct Pixels {
  size_t width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

Pixels read_png(const fs::path& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  Pixels picture;
  if (png_image_begin_read_from_file(&image, path.c_str()) != 0) {
    image.format = PNG_FORMAT_RGB;
    picture.width = image.width;
    picture.height = image.height;
    picture.rgb.resize(PNG_IMAGE_SIZE(image));
    png_image_finish_read(&image, nullptr, picture.rgb.data(), 0, nullptr);
  }
  return picture;
}

TEST(ShowRun, DrawsTheLeftHalfOfTheBrainOnTheLeft) {
  const test::TempFolder folder;
  write_left_bright_store(folder / "store.safetensors", 3);
  const test::ProgramResult result = show_run(folder / "store.safetensors", folder / "run.png");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Pixels picture = read_png(folder / "run.png");
  ASSERT_GT(picture.width, 1000u);
  // Along a row through the middle of the mosaic, each of the seven slices goes from white to black.
  const size_t row = picture.height * 2 / 5;
  size_t white_to_black = 0, black_to_white = 0;
  int last = 0;  // 1 white, -1 brain's black
  for (size_t x = 0; x < picture.width; ++x) {
    const uint8_t* const pixel = &picture.rgb[3 * (row * picture.width + x)];
    const bool grey = pixel[0] == pixel[1] && pixel[1] == pixel[2];  // only brains are
    const int now = grey && pixel[0] > 240 ? 1 : grey && pixel[0] < 30 ? -1 : 0;
    white_to_black += last == 1 && now == -1;
    black_to_white += last == -1 && now == 1;
    last = now != 0 ? now : last;
  }
  EXPECT_EQ(white_to_black, 7u);
  EXPECT_EQ(black_to_white, 6u);
}

TEST(ShowRun, RefusesWhatIsNoClipStore) {
  const test::TempFolder folder;
  write_text(folder / "notes.safetensors", "no store");
  EXPECT_EQ(show_run(folder / "notes.safetensors", folder / "run.png").exit_code, 65);
  EXPECT_EQ(show_run(folder / "absent.safetensors", folder / "run.png").exit_code, 66);
  EXPECT_FALSE(fs::exists(folder / "run.png"));
}

}  // namespace
}  // namespace slim
