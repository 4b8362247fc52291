// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>
#include <span>

#include "core/error.h"
#include "core/safetensors.h"
#include "core/sha256.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}

}  // namespace

FuzzCorpus fuzz_corpus() {
  return {
      .seeds =
          {file_of("{}", ""),
           file_of(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", std::string(16, 'x')),
           file_of(
               R"({"__metadata__":{"k":"v","n":"1"},"b":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},)"
               R"("e":{"dtype":"U8","shape":[0,4],"data_offsets":[6,6]},)"
               R"("s":{"dtype":"I64","shape":[],"data_offsets":[6,14]}}   )",
               std::string(14, 'y'))},
      .words = {"\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"__metadata__\"", "\"F32\"", "\"BOOL\"",
                "\"BF16\"", "[0,0]", "[]", "{}", "18446744073709551615", "9223372036854775807", "-1", "1e9",
                "null", ",", ":"}};
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const slim::SafetensorsFile file = slim::SafetensorsFile::parse(bytes, "fuzz.safetensors");
    size_t total = 0;
    for (const slim::TensorSpec& tensor : file.tensors()) {
      const auto piece = file.data(tensor);
      slim::sha256_hex(piece);  // touches every byte
      total += piece.size();
      if (file.find(tensor.name) != &tensor || piece.size() != tensor.bytes()) {
        std::abort();
      }
    }
    if (total > size) {
      std::abort();
    }
  } catch (const slim::Error&) {
    // A coded refusal is the right answer to most inputs.
  }
  return 0;
}
