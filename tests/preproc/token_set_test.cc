// SPDX-License-Identifier: Apache-2.0
// The packaged token set, made again from the installed template.
#include "core/token_set.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/sha256.h"
#include "preproc/run_mask.h"
#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

TEST(TokenSet, FollowsFromTheInstalledTemplate) {
  const char* folder = std::getenv("SLIM_TEMPLATE_DIR");
  if (folder == nullptr) {
    GTEST_SKIP() << "SLIM_TEMPLATE_DIR names no folder of templates";
  }
  const std::filesystem::path path = std::filesystem::path(folder) / "tpl-MNI152NLin2009aSym" /
                                     "tpl-MNI152NLin2009aSym_res-01_desc-brain_T1w.nii.gz";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "the template is not installed: " << path;
  }
  // An index pick, as the mask is defined; nothing of lattice.h is used.
  const image::Volume t1 = image::read_volume(path);
  ASSERT_EQ(t1.grid.size, (std::array<int64_t, 3>{197, 233, 189}));
  std::vector<uint8_t> brain(static_cast<size_t>(kSlimVoxels), 0), flags(24 * 24 * 24, 0);
  for (int64_t k = 0; k < 96; ++k) {
    for (int64_t j = 0; j < 96; ++j) {
      for (int64_t i = 0; i < 96; ++i) {
        const int64_t x = 192 - 2 * i, y = 20 + 2 * j, z = 2 * k - 4;
        const bool inside = x >= 0 && y >= 0 && z >= 0 && x < 197 && y < 233 && z < 189;
        if (inside && t1.values[static_cast<size_t>(x + 197 * (y + 233 * z))] > 0.0f) {
          brain[static_cast<size_t>(i + 96 * (j + 96 * k))] = 1;
          flags[static_cast<size_t>((i / 4 * 24 + j / 4) * 24 + k / 4)] = 1;
        }
      }
    }
  }
  EXPECT_EQ(brain, packaged_brain_mask());
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(brain))),
            "aac4d703608be2cc4209613d5d67840456be7f94d00feef972e870eaa2a0fb3c");
  const TokenSet set = token_set_from_flags(flags);
  EXPECT_EQ(set.size(), 4472);
  EXPECT_EQ(set.mask_sha256, "d108a80090ca3f4dc2f148c5aee622a362e943b7bcb899a0e727afe7d0e86da5");
  EXPECT_EQ(set.order_sha256, "6f811ba98da774af18989ba8aa040b450a97d10344e0e0b2c406900f4aadd237");
  EXPECT_EQ(set.cells, packaged_token_set().cells);
}

TEST(TokenSet, HasTheDocumentedOrder) {
  const TokenSet& set = packaged_token_set();
  const std::array<TokenCell, 6> first{{{3, 7, 6}, {3, 7, 7}, {7, 3, 3}, {5, 3, 7}, {6, 3, 4}, {6, 3, 5}}};
  EXPECT_TRUE(std::equal(first.begin(), first.end(), set.cells.begin()));
  EXPECT_EQ(set.cells[2236], (TokenCell{8, 13, 9}));
  EXPECT_EQ(set.cells.back(), (TokenCell{16, 18, 16}));
  EXPECT_EQ(packaged_brain().count(), 235818);
}

}  // namespace
}  // namespace slim::preproc
