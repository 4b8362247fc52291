// SPDX-License-Identifier: Apache-2.0
#include <span>

#include "tests/fuzz/fuzz.h"
#include "tests/image/nifti_bytes.h"

FuzzCorpus fuzz_corpus() {
  using slim::test::NiftiBytes;
  using slim::test::operator+;
  const auto text = [](const slim::test::Bytes& bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  FuzzCorpus corpus;
  for (const bool big_endian : {false, true}) {
    for (const int version : {1, 2}) {
      NiftiBytes image{
          .version = version, .big_endian = big_endian, .dims = {3, 2, 2, 4}, .datatype = 4, .bitpix = 16};
      image.pixdim[4] = 0.72;
      image.data = slim::test::Bytes(3 * 2 * 2 * 4 * 2, std::byte{1});
      corpus.seeds.push_back(text(image.file()));
      corpus.seeds.push_back(text(slim::test::gzip(image.file())));
    }
  }
  NiftiBytes scaled{
      .dims = {2, 2, 2, 2}, .datatype = 2, .bitpix = 8, .slope = 0.5, .inter = -3, .qform_code = 1};
  scaled.data = slim::test::Bytes(16, std::byte{7});
  corpus.seeds.push_back(text(scaled.file()));
  // Two members, as bgzip and pigz write.
  const slim::test::Bytes whole = scaled.file();
  corpus.seeds.push_back(
      text(slim::test::gzip(std::span(whole).first(300)) + slim::test::gzip(std::span(whole).subspan(300))));
  using namespace std::string_literals;
  corpus.words = {"n+1\0"s,        "ni1\0"s,        "n+2\0\r\n\x1a\n"s, "\x1f\x8b\x08"s,    "\x5c\x01\0\0"s,
                  "\x1c\x02\0\0"s, "\0\0\x7f\x80"s, "\0\0\xc0\x7f"s,    "\xff\xff\xff\x7f"s};
  return corpus;
}
