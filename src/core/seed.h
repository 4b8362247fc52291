// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace slim {

/// The finaliser of splitmix64: a bijection of 64-bit words whose output bits all depend on all input bits.
constexpr uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

/// FNV-1a over the bytes of a text.
constexpr uint64_t fnv1a64(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  }
  return hash;
}

// Note [Randomness]. Every random number is word n of the stream (seed, purpose, epoch, index). A word is a
// function of these alone: no generator is shared, so the number of workers, a resume or another world size
// changes no draw.
/// A stream of 64-bit words, a pure function of (seed, purpose, epoch, index) and a running count.
class Stream {
 public:
  constexpr Stream(uint64_t seed, std::string_view purpose, uint64_t epoch = 0, uint64_t index = 0)
      : start_(mix64(mix64(mix64(seed + kStep) ^ fnv1a64(purpose)) + epoch * kStep + 1)),
        key_(mix64(start_ + index * kStep + 2)) {}

  /// Word n of the stream, whatever was drawn before.
  constexpr uint64_t word(uint64_t n) const { return mix64(mix64(start_ + n * kStep) + key_); }
  /// The next word.
  constexpr uint64_t next() { return word(count_++); }
  /// Uniform in [0, 1), a multiple of 2^-53; takes one word.
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// Uniform in 0..n-1: the high 64 bits of word x n; takes one word.
  constexpr uint64_t bounded(uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(next()) * n) >> 64);
  }
  /// Standard normal (Box-Muller, cosine branch); takes two words.
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  static constexpr uint64_t kStep = 0x9E3779B97F4A7C15U;
  uint64_t start_, key_;
  uint64_t count_ = 0;
};

}  // namespace slim
