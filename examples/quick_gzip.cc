// SPDX-License-Identifier: Apache-2.0
#include "examples/quick_gzip.h"

#include <zlib.h>

#include <fstream>
#include <vector>

#include "core/atomic_file.h"
#include "core/error.h"

namespace slim::toy {
namespace {

struct Deflater {
  Deflater() {
    constexpr int kGzip = MAX_WBITS + 16;
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzip, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw Error(message::kNoMemory, "There is no memory to compress an image.");
    }
  }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater() { deflateEnd(&stream); }
  z_stream stream{};
};

}  // namespace

void quick_gzip(const std::filesystem::path& path) {
  std::ifstream input(path, std::ios::binary);
  if (!input) {
    throw Error(message::kMissingPath, "The file to compress is not there.", {.file = path.string()});
  }
  OutputFile output(path.string() + ".gz");
  Deflater deflater;
  z_stream& stream = deflater.stream;
  std::vector<char> plain(size_t{1} << 20), packed(size_t{1} << 20);
  int flush = Z_NO_FLUSH;
  while (flush != Z_FINISH) {
    input.read(plain.data(), static_cast<std::streamsize>(plain.size()));
    if (input.bad()) {
      throw Error(message::kInputOutput, "The file to compress cannot be read.", {.file = path.string()});
    }
    flush = input.eof() ? Z_FINISH : Z_NO_FLUSH;
    stream.next_in = reinterpret_cast<Bytef*>(plain.data());
    stream.avail_in = static_cast<uInt>(input.gcount());
    do {
      stream.next_out = reinterpret_cast<Bytef*>(packed.data());
      stream.avail_out = static_cast<uInt>(packed.size());
      deflate(&stream, flush);
      output.write(std::string_view(packed.data(), packed.size() - stream.avail_out));
    } while (stream.avail_out == 0);
  }
  output.finish();
  std::filesystem::remove(path);
}

}  // namespace slim::toy
