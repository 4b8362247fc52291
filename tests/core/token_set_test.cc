// SPDX-License-Identifier: Apache-2.0
#include "core/token_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <span>

#include "core/sha256.h"

namespace slim {
namespace {

std::string sha256_of(const std::vector<uint8_t>& bytes) {
  return sha256_hex(std::as_bytes(std::span(bytes)));
}

TEST(TokenSet, HasTheFrozenHashesAndCounts) {
  const TokenSet& set = packaged_token_set();
  EXPECT_EQ(set.size(), 4472);
  EXPECT_EQ(set.mask_sha256, "d108a80090ca3f4dc2f148c5aee622a362e943b7bcb899a0e727afe7d0e86da5");
  EXPECT_EQ(set.order_sha256, "6f811ba98da774af18989ba8aa040b450a97d10344e0e0b2c406900f4aadd237");
  EXPECT_EQ(set.per_location, (std::array<int64_t, kLocations>{95,  163, 17, 161, 319, 65,  42,  150, 9,
                                                               282, 414, 86, 302, 512, 242, 140, 456, 69,
                                                               81,  151, 13, 156, 305, 59,  41,  136, 6}));
}

TEST(TokenSet, ItsOrderIsTheWrittenOne) {
  const std::vector<TokenCell>& cells = packaged_token_set().cells;
  const std::vector<TokenCell> first{{3, 7, 6}, {3, 7, 7}, {7, 3, 3}, {5, 3, 7}, {6, 3, 4}, {6, 3, 5}};
  EXPECT_TRUE(std::equal(first.begin(), first.end(), cells.begin()));
  EXPECT_EQ(cells[2236], (TokenCell{8, 13, 9}));
  EXPECT_EQ(cells.back(), (TokenCell{16, 18, 16}));
  const auto key = [](TokenCell cell) { return 512 * cell.location() + morton_in_location(cell); };
  EXPECT_TRUE(
      std::is_sorted(cells.begin(), cells.end(), [&](TokenCell a, TokenCell b) { return key(a) < key(b); }));
}

TEST(TokenSet, OtherOrdersOfItsFlagsHaveTheirPublishedHashes) {
  std::vector<uint8_t> x_fastest(13824, 0), bits(13824 / 8, 0);
  for (const TokenCell cell : packaged_token_set().cells) {
    x_fastest[static_cast<size_t>(cell.d + 24 * (cell.h + 24 * cell.w))] = 1;
    const auto at = static_cast<size_t>(cell.grid_index());
    bits[at / 8] = static_cast<uint8_t>(bits[at / 8] | (1u << (at % 8)));
  }
  EXPECT_EQ(sha256_of(x_fastest), "a929dc6830264272aad0d7f2e01f1df90e098103897977cbacb0d2e56051b01c");
  EXPECT_EQ(sha256_of(bits), "a5de361a57469b9ff269d466e047cf193c12ed6210af0c28d9cec5d41aa72106");
}

TEST(TokenSet, TheBrainMaskHasItsHashInBothOrders) {
  const std::vector<uint8_t>& mask = packaged_brain_mask();
  EXPECT_EQ(std::accumulate(mask.begin(), mask.end(), 0), 235'818);
  EXPECT_EQ(sha256_of(mask), "aac4d703608be2cc4209613d5d67840456be7f94d00feef972e870eaa2a0fb3c");
  std::vector<uint8_t> z_fastest(mask.size());
  for (int64_t x = 0; x < kSlimSize; ++x) {
    for (int64_t y = 0; y < kSlimSize; ++y) {
      for (int64_t z = 0; z < kSlimSize; ++z) {
        z_fastest[static_cast<size_t>((x * kSlimSize + y) * kSlimSize + z)] =
            mask[static_cast<size_t>(x + kSlimSize * (y + kSlimSize * z))];
      }
    }
  }
  EXPECT_EQ(sha256_of(z_fastest), "eb540ffdc798a74668cd0f135efab6f2966955c73f1f7188402664c162aba77b");
}

TEST(TokenSet, ACubeIsATokenExactlyWhenItHoldsABrainVoxel) {
  const std::vector<uint8_t>& mask = packaged_brain_mask();
  std::vector<uint8_t> flags(13824, 0);
  for (int64_t x = 0; x < kSlimSize; ++x) {
    for (int64_t y = 0; y < kSlimSize; ++y) {
      for (int64_t z = 0; z < kSlimSize; ++z) {
        if (mask[static_cast<size_t>(x + kSlimSize * (y + kSlimSize * z))] != 0) {
          flags[static_cast<size_t>((x / 4 * 24 + y / 4) * 24 + z / 4)] = 1;
        }
      }
    }
  }
  EXPECT_EQ(sha256_of(flags), packaged_token_set().mask_sha256);
  EXPECT_EQ(token_set_from_flags(flags).order_sha256, packaged_token_set().order_sha256);
}

TEST(TokenSet, VoxelIndicesFollowTheVoxelOrderInsideATokenAndNeverRepeat) {
  const TokenSet& set = packaged_token_set();
  const std::vector<int32_t> indices = set.voxel_indices();
  ASSERT_EQ(indices.size(), 286'208u);
  for (const size_t token : {size_t{0}, size_t{1000}, size_t{4471}}) {
    for (int64_t v = 0; v < kTokenVoxels; ++v) {
      const TokenCell cell = set.cells[token];
      const int64_t x = 4 * cell.d + v / 16, y = 4 * cell.h + v / 4 % 4, z = 4 * cell.w + v % 4;
      EXPECT_EQ(indices[token * 64 + static_cast<size_t>(v)], x + 96 * (y + 96 * z));
    }
  }
  EXPECT_EQ(std::set<int32_t>(indices.begin(), indices.end()).size(), indices.size());
}

TEST(TokenSet, EightNeighboursOfACellLieTogetherWhenAllExist) {
  const TokenSet full = token_set_from_flags(std::vector<uint8_t>(13824, 1));
  ASSERT_EQ(full.size(), 13'824);
  for (size_t i = 0; i < full.cells.size(); i += 8) {
    for (size_t j = 0; j < 8; ++j) {
      EXPECT_EQ(full.cells[i + j].d / 2, full.cells[i].d / 2);
      EXPECT_EQ(full.cells[i + j].h / 2, full.cells[i].h / 2);
      EXPECT_EQ(full.cells[i + j].w / 2, full.cells[i].w / 2);
    }
  }
  for (const int64_t count : full.per_location) {
    EXPECT_EQ(count, 512);
  }
}

TEST(TokenSet, NoFlagNoToken) {
  const TokenSet none = token_set_from_flags(std::vector<uint8_t>(13824, 0));
  EXPECT_EQ(none.size(), 0);
  EXPECT_TRUE(none.voxel_indices().empty());
}

}  // namespace
}  // namespace slim
