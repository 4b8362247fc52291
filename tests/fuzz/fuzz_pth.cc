// SPDX-License-Identifier: Apache-2.0
// Inputs are whole checkpoints: zip archives and the older stream of pickles.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>

#include "core/error.h"
#include "model/checkpoint/pth_reader.h"
#include "model/checkpoint/zip_reader.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::string fixture(const char* name) {
  std::ifstream file(std::string(SLIM_SOURCE_DIR "/tests/model/checkpoint/fixtures/") + name,
                     std::ios::binary);
  if (!file) {
    std::abort();
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

FuzzCorpus fuzz_corpus() {
  using namespace std::string_literals;
  return {.seeds = {fixture("torch_zip.pth"), fixture("torch_legacy.pth")},
          .words = {"PK\x03\x04"s, "PK\x01\x02"s, "PK\x05\x06"s, "PK\x06\x06"s, "PK\x06\x07"s,
                    "\x01\0\x10\0"s, "\xff\xff\xff\xff"s, "archive/data.pkl"s, "byteorder"s, "little"s}};
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const auto archive = slim::model::ZipArchive::parse(bytes, "fuzz.pth");
    for (const auto& [name, record] : archive.records()) {
      slim::model::crc32(record.data);  // touches every byte
    }
  } catch (const slim::Error&) {
    // A coded refusal is the right answer to most inputs.
  }
  try {
    const auto file = slim::model::PthFile::parse(bytes, "fuzz.pth");
    for (const slim::model::StoredTensor& tensor : file.tensors()) {
      if (tensor.spec.bytes() <= size_t{1} << 20 && tensor.contiguous().size() != tensor.spec.bytes()) {
        std::abort();
      }
    }
  } catch (const slim::Error&) {
  }
  return 0;
}
