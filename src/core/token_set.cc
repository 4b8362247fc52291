// SPDX-License-Identifier: Apache-2.0
#include "core/token_set.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <string_view>

#include "core/error.h"
#include "core/sha256.h"

namespace slim {
namespace {

// Made by CMake from slim_tokens.txt and slim_brain.txt.
const char kSlimTokensText[] = {
#include "slim_tokens.inc"
    , 0};
const char kSlimBrainText[] = {
#include "slim_brain.inc"
    , 0};

std::string sha256_of(const std::vector<uint8_t>& bytes) {
  return sha256_hex(std::as_bytes(std::span(bytes)));
}

/// Reads `title... <sha256>` and run lengths, zeros first; the hash must match.
std::vector<uint8_t> expand_runs(std::string_view text, size_t count) {
  const size_t end_of_title = text.find('\n');
  const std::string_view title = text.substr(0, end_of_title);
  const std::string_view expected = title.substr(title.rfind(' ') + 1);
  std::vector<uint8_t> flags;
  flags.reserve(count);
  uint8_t value = 0;
  const char* at = text.data() + end_of_title;
  const char* const end = text.data() + text.size();
  while (at < end) {
    if (*at == ' ' || *at == '\n') {
      ++at;
      continue;
    }
    size_t run = 0;
    at = std::from_chars(at, end, run).ptr;
    flags.insert(flags.end(), run, value);
    value = static_cast<uint8_t>(1 - value);
  }
  flags.resize(count, 0);
  if (sha256_of(flags) != expected) {
    throw Error(message::kBug, "An embedded table does not have its own SHA-256.",
                {.expected = std::string(expected)});
  }
  return flags;
}

}  // namespace

int morton_in_location(TokenCell cell) {
  int code = 0;
  for (int k = 0; k < 3; ++k) {
    code += (4 * ((cell.d >> k) & 1) + 2 * ((cell.h >> k) & 1) + ((cell.w >> k) & 1)) << (3 * k);
  }
  return code;
}

std::vector<int32_t> TokenSet::voxel_indices() const {
  std::vector<int32_t> indices;
  indices.reserve(cells.size() * kTokenVoxels);
  for (const TokenCell& cell : cells) {
    for (int64_t x = 0; x < kTokenEdge; ++x) {
      for (int64_t y = 0; y < kTokenEdge; ++y) {
        for (int64_t z = 0; z < kTokenEdge; ++z) {
          indices.push_back(static_cast<int32_t>(
              kTokenEdge * cell.d + x +
              kSlimSize * (kTokenEdge * cell.h + y + kSlimSize * (kTokenEdge * cell.w + z))));
        }
      }
    }
  }
  return indices;
}

TokenSet token_set_from_flags(const std::vector<uint8_t>& flags) {
  TokenSet set;
  set.per_location.fill(0);
  for (size_t index = 0; index < flags.size(); ++index) {
    if (flags[index] != 0) {
      const auto at = static_cast<int64_t>(index);
      set.cells.push_back({.d = static_cast<uint8_t>(at / (kTokenGrid * kTokenGrid)),
                           .h = static_cast<uint8_t>(at / kTokenGrid % kTokenGrid),
                           .w = static_cast<uint8_t>(at % kTokenGrid)});
    }
  }
  std::sort(set.cells.begin(), set.cells.end(), [](TokenCell a, TokenCell b) {
    return 512 * a.location() + morton_in_location(a) < 512 * b.location() + morton_in_location(b);
  });
  std::vector<uint8_t> order;
  for (const TokenCell& cell : set.cells) {
    ++set.per_location[static_cast<size_t>(cell.location())];
    order.push_back(static_cast<uint8_t>(cell.grid_index() & 255));
    order.push_back(static_cast<uint8_t>(cell.grid_index() >> 8));
  }
  set.mask_sha256 = sha256_of(flags);
  set.order_sha256 = sha256_of(order);
  return set;
}

const TokenSet& packaged_token_set() {
  static const TokenSet set = token_set_from_flags(
      expand_runs(kSlimTokensText, static_cast<size_t>(kTokenGrid * kTokenGrid * kTokenGrid)));
  return set;
}

const std::vector<uint8_t>& packaged_brain_mask() {
  static const std::vector<uint8_t> mask = expand_runs(kSlimBrainText, static_cast<size_t>(kSlimVoxels));
  return mask;
}

}  // namespace slim
