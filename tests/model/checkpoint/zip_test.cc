// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "core/atomic_file.h"
#include "core/seed.h"
#include "model/checkpoint/zip_reader.h"
#include "model/checkpoint/zip_writer.h"
#include "tests/model/checkpoint/checkpoint_testing.h"

namespace slim::model {
namespace {

using test::bytes_of;
using test::error_of;
using test::torch_zip;

std::string text_of(const ZipRecord& record) {
  return {reinterpret_cast<const char*>(record.data.data()), record.data.size()};
}

TEST(Crc32, GivesThePublishedValues) {
  EXPECT_EQ(crc32(bytes_of("123456789")), 0xCBF43926u);
  EXPECT_EQ(crc32(bytes_of("")), 0u);
  EXPECT_EQ(crc32(bytes_of("The quick brown fox jumps over the lazy dog")), 0x414FA339u);
}

TEST(Crc32, ContinuesAStream) {
  const std::string text(1000, 'q');
  for (const size_t split : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{500}, size_t{1000}}) {
    const std::string_view view = text;
    EXPECT_EQ(crc32(bytes_of(view.substr(split)), crc32(bytes_of(view.substr(0, split)))),
              crc32(bytes_of(text)));
  }
}

TEST(Zip, RoundTripKeepsRecordsAndAlignsTheirData) {
  const std::string zip = torch_zip("pickle", {{"0", std::string(100, 'a')}, {"1", ""}, {"2", "xyz"}});
  const ZipArchive archive = ZipArchive::parse(bytes_of(zip), "x.pth");
  archive.verify_checksums();
  ASSERT_EQ(archive.records().size(), 5u);
  EXPECT_EQ(text_of(*archive.find("archive/data.pkl")), "pickle");
  EXPECT_EQ(text_of(*archive.find("archive/data/0")), std::string(100, 'a'));
  EXPECT_EQ(text_of(*archive.find("archive/data/1")), "");
  EXPECT_EQ(archive.find("archive/data/3"), nullptr);
  for (const auto& [name, record] : archive.records()) {
    EXPECT_EQ((record.data.data() - bytes_of(zip).data()) % 64, 0) << name;
  }
}

TEST(Zip, PythonReadsOursAndChecksItsSums) {
  const auto python = test::judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  const test::TempFolder folder;
  write_text(folder / "a.zip", torch_zip("pickle", {{"0", std::string(3000, 'a')}}));
  const test::ProgramResult result =
      test::run_program(*python, {"-c",
                                  "import sys, zipfile\n"
                                  "file = zipfile.ZipFile(sys.argv[1])\n"
                                  "assert file.testzip() is None\n"
                                  "assert file.namelist()[0] == 'archive/data.pkl'\n"
                                  "assert file.read('archive/data/0') == b'a' * 3000",
                                  folder / "a.zip"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(Zip, EveryTruncationIsAnError) {
  const std::string zip = torch_zip("pickle", {{"0", "abcdef"}});
  for (size_t length = 0; length < zip.size(); ++length) {
    EXPECT_THROW(ZipArchive::parse(bytes_of(std::string_view(zip).substr(0, length)), "x"), Error) << length;
  }
}

TEST(Zip, AChangedByteOfARecordIsNoticed) {
  std::string zip = torch_zip("pickle", {{"0", "abcdef"}});
  zip[zip.find("abcdef")] = 'X';
  const ZipArchive archive = ZipArchive::parse(bytes_of(zip), "x.pth");
  const std::string error = error_of([&] { archive.verify_checksums(); });
  EXPECT_TRUE(error.starts_with("SB2021")) << error;
  EXPECT_NE(error.find("archive/data/0"), std::string::npos) << error;
}

TEST(Zip, SingleChangedBytesNeverReachOutsideTheFile) {
  const std::string zip = torch_zip("pickle", {{"0", "abcdef"}});
  for (size_t at = 0; at < zip.size(); ++at) {
    for (const char value : {'\0', '\x7f', '\xff'}) {
      std::string changed = zip;
      changed[at] = value;
      try {
        const ZipArchive archive = ZipArchive::parse(bytes_of(changed), "x");
        for (const auto& [name, record] : archive.records()) {
          if (!record.data.empty()) {
            EXPECT_GE(record.data.data(), bytes_of(changed).data());
            EXPECT_LE(record.data.data() + record.data.size(), bytes_of(changed).data() + changed.size());
          }
        }
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), "SB2021");
      }
    }
  }
}

TEST(Zip, TheSameRecordTwiceIsRefused) {
  std::string out;
  ZipWriter zip([&](std::span<const std::byte> bytes) {
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  zip.add("a", std::string_view("1"));
  zip.add("a", std::string_view("2"));
  zip.finish();
  EXPECT_NE(error_of([&] { ZipArchive::parse(bytes_of(out), "x"); }).find("same name"), std::string::npos);
}

}  // namespace
}  // namespace slim::model
