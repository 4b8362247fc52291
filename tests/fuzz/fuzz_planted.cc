// SPDX-License-Identifier: Apache-2.0
// A parser with a defect behind four bytes: the driver must find it, or its silence about the others means
// nothing.
#include "tests/fuzz/fuzz.h"

FuzzCorpus fuzz_corpus() { return {.seeds = {"hello world 12"}, .words = {"PK"}}; }

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 3 && data[0] == 'P') {
    if (data[1] == 'K') {
      if (data[2] == '9') {
        if (data[3] > 0xF0) {
          const volatile uint8_t past_the_end = data[size];
          return past_the_end == 0 ? 0 : 0;
        }
      }
    }
  }
  return 0;
}
