// SPDX-License-Identifier: Apache-2.0
#include "core/sha256.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/atomic_file.h"
#include "core/seed.h"
#include "tests/support/run_program.h"

namespace slim {
namespace {

TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(sha256_hex(std::string_view("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(std::string_view("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string_view("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

std::string random_bytes(size_t count, uint64_t index) {
  Stream stream(7, "sha256_test", 0, index);
  std::string bytes(count, '\0');
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(stream.next() & 255u); });
  return bytes;
}

TEST(Sha256, DoesNotDependOnHowTheBytesAreSplit) {
  Stream stream(7, "splits");
  for (size_t length = 0; length < 300; ++length) {
    const std::string bytes = random_bytes(length, length);
    Sha256 hash;
    for (size_t at = 0; at < length;) {
      const size_t take = std::min<size_t>(length - at, stream.bounded(80));
      hash.update(std::string_view(bytes).substr(at, take));
      at += take;
    }
    EXPECT_EQ(hash.hex(), sha256_hex(bytes)) << length;
  }
}

TEST(Sha256, EqualsPythonForEveryLengthAroundTheBlocks) {
  const auto python = test::judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  const test::TempFolder folder;
  std::string expected;
  for (size_t length = 0; length < 260; ++length) {
    const std::string bytes = random_bytes(length, length);
    write_text(folder / std::to_string(length), bytes);
    expected += sha256_hex(bytes) + "\n";
  }
  const test::ProgramResult result = test::run_program(
      *python,
      {"-c",
       "import hashlib, sys\n"
       "for n in range(260): print(hashlib.sha256(open(f'{sys.argv[1]}/{n}', 'rb').read()).hexdigest())",
       folder.path().string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, expected);
}

}  // namespace
}  // namespace slim
