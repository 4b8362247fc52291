// SPDX-License-Identifier: Apache-2.0
#include "bids/fingerprint.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/bids/bids_tree.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;

namespace slim::bids {
namespace {

std::string noise(size_t count) {
  std::string text(count, '\0');
  uint32_t state = 1;
  for (char& c : text) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

TEST(Fingerprint, SeesEveryByteOfAShortFile) {
  const test::TempFolder folder;
  for (const size_t size : {size_t{1}, size_t{100}, size_t{70'000}}) {
    std::string text = noise(size);
    test::put(folder.path(), "a", text);
    const std::string first = input_fingerprint(folder / "a");
    EXPECT_EQ(input_fingerprint(folder / "a"), first);
    text[size / 2] = static_cast<char>(text[size / 2] + 1);
    test::put(folder.path(), "a", text);
    EXPECT_NE(input_fingerprint(folder / "a"), first) << size;
  }
  test::put(folder.path(), "empty", "");
  EXPECT_EQ(input_fingerprint(folder / "empty").substr(0, 7), "size:0,");
}

TEST(Fingerprint, SeesTheMiddleOnlyOfUncompressedFiles) {
  const test::TempFolder folder;
  std::string text = noise(5 << 20);
  text[0] = 'n';
  test::put(folder.path(), "a.nii", text);
  const std::string plain = input_fingerprint(folder / "a.nii");
  EXPECT_NE(plain.find("sha256blocks"), std::string::npos);
  text[text.size() - 1] = static_cast<char>(text.back() + 1);
  test::put(folder.path(), "a.nii", text);
  EXPECT_NE(input_fingerprint(folder / "a.nii"), plain);
  text[0] = '\x1f';
  text[1] = '\x8b';
  test::put(folder.path(), "a.nii.gz", text);
  EXPECT_EQ(input_fingerprint(folder / "a.nii.gz").find("sha256blocks"), std::string::npos);
}

TEST(Fingerprint, DoesNotDependOnNameOrTime) {
  const test::TempFolder folder;
  test::put(folder.path(), "a", noise(3 << 20));
  fs::copy_file(folder / "a", folder / "b");
  fs::last_write_time(folder / "b", fs::file_time_type::clock::now() - std::chrono::hours(1000));
  EXPECT_EQ(input_fingerprint(folder / "a"), input_fingerprint(folder / "b"));
}

TEST(Fingerprint, UsesTheKeyOfAnAnnexedFile) {
  const test::TempFolder folder;
  fs::create_symlink(".git/annex/objects/Xx/Yy/MD5E-s10--abc.nii.gz/MD5E-s10--abc.nii.gz",
                     folder / "a.nii.gz");
  EXPECT_EQ(input_fingerprint(folder / "a.nii.gz"), "annex:MD5E-s10--abc.nii.gz");
  try {
    input_fingerprint(folder / "absent");
    FAIL() << "an absent file has a fingerprint";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB2101");
  }
}

}  // namespace
}  // namespace slim::bids
