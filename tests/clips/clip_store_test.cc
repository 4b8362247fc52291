// SPDX-License-Identifier: Apache-2.0
#include "clips/clip_store.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/half.h"
#include "tests/support/run_program.h"

namespace slim::clips {
namespace {

namespace fs = std::filesystem;

/// A set of two tokens, so that stores are small.
TokenSet small_set() {
  std::vector<uint8_t> flags(24 * 24 * 24, 0);
  flags[5000] = flags[9000] = 1;
  return token_set_from_flags(flags);
}

struct SmallStore {
  std::vector<uint16_t> bold;
  std::vector<uint8_t> valid;
  std::map<std::string, std::string> metadata;
  int64_t frames = 7;

  explicit SmallStore(const TokenSet& tokens) : valid(16, 0xff) {
    valid[3] = 0x0f;
    for (int64_t t = 0; t < frames; ++t) {
      for (size_t v = 0; v < 128; ++v) {
        const bool counts = ((valid[v / 8] >> (v % 8)) & 1) != 0;
        bold.push_back(counts ? half_from_float(0.01f * static_cast<float>(t * 128) +
                                                0.1f * static_cast<float>(v % 17) - 1.0f)
                              : uint16_t{0});
      }
    }
    metadata = {{"slimbrain_clips", "1"},
                {"token_mask_sha256", tokens.mask_sha256},
                {"token_order_sha256", tokens.order_sha256},
                {"n_frames", "7"},
                {"repetition_time_s", "0.72"}};
  }
  ClipStoreContent content() const {
    return {.n_frames = frames, .bold = bold, .valid = valid, .metadata = metadata};
  }
};

template <class Work>
std::string code_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return {};
}

TEST(ClipStore, ReadsBackWhatWasWritten) {
  test::TempFolder folder;
  const TokenSet tokens = small_set();
  const SmallStore small(tokens);
  write_clip_store(folder / "a.safetensors", small.content());
  const ClipStore store = ClipStore::open(folder / "a.safetensors", tokens);
  EXPECT_EQ(store.n_frames(), 7);
  EXPECT_EQ(store.frame_values(), 128);
  EXPECT_EQ(store.repetition_time_s(), 0.72);
  EXPECT_EQ(store.metadata(), small.metadata);
  std::vector<uint16_t> all(7 * 128), two(2 * 128);
  store.read_frames(0, 7, all);
  EXPECT_EQ(all, small.bold);
  store.read_frames(4, 2, two);
  EXPECT_TRUE(std::equal(two.begin(), two.end(), small.bold.begin() + 4 * 128));
  EXPECT_TRUE(std::equal(store.valid().begin(), store.valid().end(), small.valid.begin()));
}

TEST(ClipStore, HoldsTensorsInOrderFromAWholePage) {
  test::TempFolder folder;
  const TokenSet tokens = small_set();
  write_clip_store(folder / "a.safetensors", SmallStore(tokens).content());
  const SafetensorsFile file = SafetensorsFile::open(folder / "a.safetensors");
  std::vector<std::string> names;
  for (const TensorSpec& tensor : file.tensors()) {
    names.push_back(tensor.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"bold", "frame_sum", "frame_sumsq", "valid"}));
  EXPECT_EQ(file.file_offset(*file.find("bold")) % 4096, 0u);
  EXPECT_EQ(file.find("bold")->shape, (std::vector<int64_t>{7, 2, 64}));
}

TEST(ClipStore, GivesWindowStatisticsFromItsSums) {
  test::TempFolder folder;
  const TokenSet tokens = small_set();
  const SmallStore small(tokens);
  write_clip_store(folder / "a.safetensors", small.content());
  const ClipStore store = ClipStore::open(folder / "a.safetensors", tokens);
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 7}, {2, 3}, {6, 1}}) {
    double sum = 0.0, square = 0.0, n = 0.0;
    for (int64_t t = first; t < first + count; ++t) {
      for (size_t v = 0; v < 128; ++v) {
        if (((small.valid[v / 8] >> (v % 8)) & 1) != 0) {
          const double value =
              static_cast<double>(float_from_half(small.bold[static_cast<size_t>(t) * 128 + v]));
          sum += value;
          square += value * value;
          n += 1.0;
        }
      }
    }
    const WindowStatistics window = window_statistics(store, first, count);
    EXPECT_NEAR(window.mean, sum / n, 1e-9);
    EXPECT_NEAR(window.sd, std::sqrt(square / n - sum / n * (sum / n)), 1e-9);
  }
}

TEST(ClipStore, RefusesToWriteABackgroundThatIsNotZero) {
  test::TempFolder folder;
  SmallStore small(small_set());
  small.bold[3 * 8 + 7] = 0x3c00;  // bit 7 of byte 3 is not valid
  EXPECT_EQ(code_of([&] { write_clip_store(folder / "a.safetensors", small.content()); }), "SB9001");
  small.bold.pop_back();
  EXPECT_EQ(code_of([&] { write_clip_store(folder / "a.safetensors", small.content()); }), "SB9001");
}

TEST(ClipStore, RefusesAnotherTokenSet) {
  test::TempFolder folder;
  write_clip_store(folder / "a.safetensors", SmallStore(small_set()).content());
  EXPECT_EQ(code_of([&] { ClipStore::open(folder / "a.safetensors"); }), "SB4002");
}

TEST(ClipStore, RefusesMetadataThatContradictsTheTensors) {
  test::TempFolder folder;
  const TokenSet tokens = small_set();
  const std::vector<std::pair<std::string, std::string>> edits{{"slimbrain_clips", "2"},
                                                               {"n_frames", "8"},
                                                               {"n_frames", "-7"},
                                                               {"n_frames", "7x"},
                                                               {"n_frames", ""},
                                                               {"repetition_time_s", "0"},
                                                               {"repetition_time_s", "nan"},
                                                               {"repetition_time_s", "inf"},
                                                               {"repetition_time_s", "1e999"}};
  for (const auto& [key, value] : edits) {
    SmallStore small(tokens);
    small.metadata[key] = value;
    write_clip_store(folder / "a.safetensors", small.content());
    EXPECT_EQ(code_of([&] { ClipStore::open(folder / "a.safetensors", tokens); }), "SB2020")
        << key << " = " << value;
    small.metadata.erase(key);
    write_clip_store(folder / "a.safetensors", small.content());
    EXPECT_EQ(code_of([&] { ClipStore::open(folder / "a.safetensors", tokens); }), "SB2020") << "no " << key;
  }
}

TEST(ClipStore, RefusesAFileCutAnywhere) {
  test::TempFolder folder;
  const TokenSet tokens = small_set();
  write_clip_store(folder / "a.safetensors", SmallStore(tokens).content());
  const std::string whole = read_text(folder / "a.safetensors");
  for (size_t length = 0; length < whole.size(); length += 97) {
    std::ofstream(folder / "cut.safetensors", std::ios::binary) << whole.substr(0, length);
    ASSERT_EQ(code_of([&] { ClipStore::open(folder / "cut.safetensors", tokens); }), "SB2020") << length;
  }
}

TEST(ClipStore, ReportsAFileThatShrankWhileOpenAsAnError) {
  test::TempFolder folder;
  const TokenSet tokens = small_set();
  write_clip_store(folder / "a.safetensors", SmallStore(tokens).content());
  const ClipStore store = ClipStore::open(folder / "a.safetensors", tokens);
  fs::resize_file(folder / "a.safetensors", 5000);
  std::vector<uint16_t> all(7 * 128);
  EXPECT_EQ(code_of([&] { store.read_frames(0, 7, all); }), "SB5002");
}

TEST(ClipStore, RefusesFramesItDoesNotHave) {
  test::TempFolder folder;
  const TokenSet tokens = small_set();
  write_clip_store(folder / "a.safetensors", SmallStore(tokens).content());
  const ClipStore store = ClipStore::open(folder / "a.safetensors", tokens);
  std::vector<uint16_t> out(2 * 128);
  EXPECT_EQ(code_of([&] { store.read_frames(6, 2, out); }), "SB9001");
  EXPECT_EQ(code_of([&] { store.read_frames(-1, 2, out); }), "SB9001");
  EXPECT_EQ(code_of([&] { store.read_frames(0, 1, out); }), "SB9001");
}

}  // namespace
}  // namespace slim::clips
