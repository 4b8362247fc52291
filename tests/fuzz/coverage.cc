// SPDX-License-Identifier: Apache-2.0
// The compiler calls __sanitizer_cov_trace_pc at every branch of the parsers (-fsanitize-coverage=trace-pc,
// which GCC has); this file is compiled without that option. Edges are hashed into a small table, as AFL
// does.
#include "tests/fuzz/coverage.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace {

constexpr size_t kSlots = 1 << 16;
std::array<uint8_t, kSlots> counts;
std::array<uint8_t, kSlots> seen;
uintptr_t previous = 0;
int pairs = 0;

/// 1, 2, 3, 4-7, 8-15, 16-31, 32-127, 128-255 passes, one bit each.
uint8_t count_class(uint8_t count) {
  if (count < 4) {
    return static_cast<uint8_t>(count == 0 ? 0 : 1u << (count - 1));
  }
  const int width = std::bit_width(count);
  return static_cast<uint8_t>(1u << (width == 7 ? 6 : width));
}

}  // namespace

extern "C" void __sanitizer_cov_trace_pc();
void __sanitizer_cov_trace_pc() {
  // Distances from here do not depend on where the program was loaded, so that equal calls do equal work.
  const auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0)) -
                     reinterpret_cast<uintptr_t>(&__sanitizer_cov_trace_pc);
  const uintptr_t mixed = (place * 0x9E3779B97F4A7C15U) >> 20;
  uint8_t& count = counts[(mixed ^ previous) % kSlots];
  count = static_cast<uint8_t>(count == 255 ? 255 : count + 1);
  previous = mixed >> 1;
}

namespace slim::fuzz {

void start_coverage() {
  counts.fill(0);
  previous = 0;
}

bool found_new_coverage() {
  bool is_new = false;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    const uint8_t unseen = count_class(counts[slot]) & static_cast<uint8_t>(~seen[slot]);
    if (unseen != 0) {
      seen[slot] |= unseen;
      ++pairs;
      is_new = true;
    }
  }
  return is_new;
}

int coverage_size() { return pairs; }

}  // namespace slim::fuzz
