// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// What a fuzz program tells the driver: well-formed inputs to start from, and words that matter to the
/// parser.
struct FuzzCorpus {
  std::vector<std::string> seeds;
  std::vector<std::string> words;
};
FuzzCorpus fuzz_corpus();

/// One input through the parser (libFuzzer's name, so that its driver can be linked instead of ours).
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
