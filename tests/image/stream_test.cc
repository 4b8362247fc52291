// SPDX-License-Identifier: Apache-2.0
// Compressed and plain streams, whole and broken. A broken one never gives all frames and a quiet end.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/error.h"
#include "tests/image/judge.h"
#include "tests/image/read_all.h"

namespace slim::test {
namespace {

/// A series whose compressed form has matches near and far, and parts that do not compress.
struct Series {
  Bytes file;
  std::vector<float> values;
};
Series make_series() {
  NiftiBytes image;
  image.dims = {31, 29, 17, 6};
  image.datatype = 4;
  image.bitpix = 16;
  image.pixdim[4] = 2.0;
  std::mt19937 random(5);
  std::vector<int16_t> values(31 * 29 * 17 * 6);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int16_t>(i % 4000 < 1000 ? random() : i % 977);
  }
  image.data = stored(values, false);
  return {image.file(), {values.begin(), values.end()}};
}

class Streams : public testing::Test {
 protected:
  std::filesystem::path put(std::span<const std::byte> bytes, const std::string& name = "a.nii.gz") {
    write_file(folder_ / name, bytes);
    return folder_ / name;
  }
  /// The code with which reading fails, "none" when all of it succeeds.
  std::string code_of(const std::filesystem::path& path) {
    try {
      read_all(path);
    } catch (const Error& error) {
      sentence_ = error.sentence();
      return std::string(error.code());
    }
    return "none";
  }
  TempFolder folder_;
  Series series_ = make_series();
  std::string sentence_;
};

Bytes part(const Bytes& bytes, size_t from, size_t to) {
  return {bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.begin() + static_cast<std::ptrdiff_t>(to)};
}

/// bgzip's layout: small members that name their size, and an empty one at the end.
Bytes bgzip(const Bytes& bytes) {
  Bytes out;
  constexpr size_t kBlock = 65280;
  for (size_t at = 0; at <= bytes.size(); at += kBlock) {
    const Bytes member = gzip(part(bytes, at, std::min(bytes.size(), at + kBlock)));
    const size_t size = member.size() + 8 - 1;
    Bytes header = part(member, 0, 10);
    header[3] = std::byte{4};  // FEXTRA
    const Bytes extra{std::byte{6}, std::byte{0}, std::byte{'B'},         std::byte{'C'},
                      std::byte{2}, std::byte{0}, std::byte(size & 0xff), std::byte(size >> 8)};
    out = std::move(out) + header + extra + part(member, 10, member.size());
  }
  static constexpr std::array<unsigned char, 28> kEnd{0x1f, 0x8b, 0x08, 0x04, 0, 0, 0,    0, 0, 0xff,
                                                      6,    0,    0x42, 0x43, 2, 0, 0x1b, 0, 3, 0,
                                                      0,    0,    0,    0,    0, 0, 0,    0};
  return std::move(out) + std::as_bytes(std::span(kEnd));
}

TEST_F(Streams, GiveTheSameVoxelsInEveryForm) {
  const Bytes& file = series_.file;
  const Bytes three =
      gzip(part(file, 0, 100)) + gzip(part(file, 100, 50001)) + gzip(part(file, 50001, file.size()), 1);
  EXPECT_EQ(read_all(put(file, "a.nii")).values, series_.values);
  EXPECT_EQ(read_all(put(gzip(file))).values, series_.values);
  EXPECT_EQ(read_all(put(gzip(file, 0))).values, series_.values);
  EXPECT_EQ(read_all(put(gzip(file, 9))).values, series_.values);
  EXPECT_EQ(read_all(put(three)).values, series_.values);
  EXPECT_EQ(read_all(put(bgzip(file))).values, series_.values);
  // The content says what a file is, not its name.
  EXPECT_EQ(read_all(put(file, "plain.nii.gz")).values, series_.values);
  EXPECT_EQ(read_all(put(gzip(file), "zipped.nii")).values, series_.values);
  // A member without content at the start and in the middle.
  const Bytes empty = gzip({});
  EXPECT_EQ(
      read_all(put(empty + gzip(part(file, 0, 7000)) + empty + gzip(part(file, 7000, file.size())))).values,
      series_.values);
}

TEST_F(Streams, IgnoreZerosAfterTheEndAndWarnOfOtherBytes) {
  const Bytes zipped = gzip(series_.file);
  EXPECT_TRUE(read_all(put(zipped)).warnings.empty());
  for (const size_t count : {size_t{1}, size_t{2}, size_t{511}, size_t{3000000}}) {
    const WholeFile padded = read_all(put(zipped + Bytes(count)));
    EXPECT_EQ(padded.values, series_.values);
    EXPECT_TRUE(padded.warnings.empty()) << count;
    const WholeFile junk = read_all(put(zipped + Bytes(count, std::byte{0x1f})));
    EXPECT_EQ(junk.values, series_.values);
    ASSERT_EQ(junk.warnings.size(), 1u);
    EXPECT_EQ(junk.warnings[0].substr(0, junk.warnings[0].find(' ')), std::to_string(count));
  }
}

TEST_F(Streams, WarnWhenMoreVoxelsFollowThanTheHeaderNames) {
  const Bytes zeros(70000), more(70000, std::byte{7});
  for (const bool zipped : {false, true}) {
    const auto form = [&](const Bytes& bytes) { return zipped ? gzip(bytes) : bytes; };
    EXPECT_TRUE(read_all(put(form(series_.file + zeros))).warnings.empty());
    const WholeFile longer = read_all(put(form(series_.file + zeros + more)));
    EXPECT_EQ(longer.values, series_.values);
    ASSERT_EQ(longer.warnings.size(), 1u);
    EXPECT_EQ(longer.warnings[0].substr(0, 7), "140000 ");
  }
}

TEST_F(Streams, CutAtTwoHundredPlacesAreAlwaysAnError) {
  const Bytes zipped = gzip(series_.file);
  std::vector<size_t> places{
      0, 1, 2, 5, 10, 11, 40, zipped.size() - 1, zipped.size() - 4, zipped.size() - 8, zipped.size() - 9};
  std::mt19937 random(3);
  while (places.size() < 200) {
    places.push_back(std::uniform_int_distribution<size_t>(0, zipped.size() - 1)(random));
  }
  for (const size_t place : places) {
    const std::string code = code_of(put(part(zipped, 0, place)));
    EXPECT_EQ(code, place == 1 ? "SB2010" : "SB2006") << "cut at " << place << ": " << sentence_;
  }
}

TEST_F(Streams, CutFilesNameTheByteReachedAndTheByteExpected) {
  const std::string expected = std::to_string(series_.file.size());
  const Bytes plain = part(series_.file, 0, 70000);
  EXPECT_EQ(code_of(put(plain, "a.nii")), "SB2006");
  EXPECT_NE(sentence_.find("at byte 70000 of " + expected), std::string::npos) << sentence_;
  EXPECT_EQ(code_of(put(gzip(plain))), "SB2006");  // a whole stream of too little
  EXPECT_NE(sentence_.find("at byte 70000 of " + expected), std::string::npos) << sentence_;
  const Bytes zipped = gzip(series_.file);
  EXPECT_EQ(code_of(put(part(zipped, 0, zipped.size() / 2))), "SB2006");
  EXPECT_NE(sentence_.find(" of " + expected), std::string::npos) << sentence_;
}

TEST_F(Streams, PlainFilesCutAnywhereAreAnError) {
  for (size_t size = 0; size < series_.file.size(); size += 1 + size / 3) {
    const std::string code = code_of(put(part(series_.file, 0, size), "a.nii"));
    EXPECT_EQ(code, size > 0 && size < 4 ? "SB2010" : "SB2006") << size;
  }
}

TEST_F(Streams, AFlippedBitIsAnErrorOrWithoutEffect) {
  const Bytes zipped = gzip(series_.file);
  std::mt19937 random(11);
  size_t found = 0;
  for (int round = 0; round < 300; ++round) {
    Bytes damaged = zipped;
    const size_t place = std::uniform_int_distribution<size_t>(10, zipped.size() - 1)(random);
    damaged[place] ^= std::byte(1u << (random() % 8));
    const auto path = put(damaged);
    try {
      EXPECT_EQ(read_all(path).values, series_.values) << place;
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::BadData);
      ++found;
    }
  }
  EXPECT_GT(found, 290u);
}

TEST_F(Streams, AWrongChecksumOrLengthIsAnErrorInEveryMember) {
  const Bytes zipped = gzip(series_.file);
  for (size_t back = 1; back <= 8; ++back) {
    Bytes damaged = zipped;
    damaged[damaged.size() - back] ^= std::byte{0x10};
    EXPECT_EQ(code_of(put(damaged)), "SB2006") << back;
    EXPECT_NE(sentence_.find("checksum"), std::string::npos) << sentence_;
  }
  Bytes first = gzip(part(series_.file, 0, 9000));
  first[first.size() - 6] ^= std::byte{1};
  EXPECT_EQ(code_of(put(first + gzip(part(series_.file, 9000, series_.file.size())))), "SB2006");
}

TEST_F(Streams, AHeaderThatPromisesMoreThanTheFileCanHoldIsRefusedBeforeAFrameIsAskedFor) {
  NiftiBytes image;
  image.dims = {32767, 32767, 32767, 100};
  image.datatype = 64;
  image.bitpix = 64;
  image.data = Bytes(1000);
  for (const bool zipped : {false, true}) {
    const auto path = put(zipped ? gzip(image.file()) : image.file());
    try {
      image::open_frames(path);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "SB2006");
      EXPECT_EQ(error.details().found, "1352 bytes");
    }
  }
}

TEST_F(Streams, AFrameIsAskedForOnceAndAtItsSize) {
  const auto source = image::open_frames(put(gzip(series_.file)));
  std::vector<std::byte> raw(source->frame_bytes()), small(raw.size() - 1);
  EXPECT_THROW(source->next(small), Error);
  EXPECT_THROW(source->finish(), Error);
  for (int64_t t = 0; t < source->header().volumes(); ++t) {
    source->next(raw);
  }
  EXPECT_THROW(source->next(raw), Error);
}

TEST_F(Streams, ReadFramesThatAreSmallerOrLargerThanAnyBuffer) {
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{1, 1, 1, 5000}, {1500, 1300, 1, 1}}) {
    NiftiBytes image;
    image.dims = dims;
    image.datatype = 2;
    image.bitpix = 8;
    std::vector<uint8_t> values(static_cast<size_t>(dims[0] * dims[1] * dims[3]));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<uint8_t>(i * i >> 3);
    }
    image.data = stored(values, false);
    EXPECT_EQ(read_all(put(gzip(image.file()))).values, std::vector<float>(values.begin(), values.end()));
  }
}

}  // namespace
}  // namespace slim::test
