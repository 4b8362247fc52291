// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "core/error.h"
#include "image/nifti_header.h"
#include "tests/image/judge.h"
#include "tests/image/read_all.h"

namespace slim::test {
namespace {

/// One stored type: its code, and values with both ends of its range first.
template <class Value, int code>
struct TypeCase {
  using Stored = Value;
  static constexpr int kCode = code;
  static std::vector<Stored> values(size_t count) {
    using Limits = std::numeric_limits<Stored>;
    std::vector<Stored> values{Limits::lowest(), Limits::max(), Stored{0}, Stored{1}};
    std::mt19937_64 random(17);
    while (values.size() < count) {
      const uint64_t bits = random();
      if constexpr (std::is_integral_v<Stored>) {
        values.push_back(static_cast<Stored>(bits));
      } else {
        values.push_back(static_cast<Stored>(static_cast<double>(bits) * 1e-9 - 4e9));
      }
    }
    return values;
  }
};

template <class Case>
class EveryType : public testing::Test {};
using Cases =
    testing::Types<TypeCase<uint8_t, 2>, TypeCase<int16_t, 4>, TypeCase<int32_t, 8>, TypeCase<float, 16>,
                   TypeCase<double, 64>, TypeCase<int8_t, 256>, TypeCase<uint16_t, 512>,
                   TypeCase<uint32_t, 768>, TypeCase<int64_t, 1024>, TypeCase<uint64_t, 1280>>;
TYPED_TEST_SUITE(EveryType, Cases);

// 7 x 11 x 13 is odd, so that every vector loop has a remainder.
const std::vector<int64_t> kDims{7, 11, 13};
constexpr size_t kCount = 7 * 11 * 13;

template <class Case>
NiftiBytes image_of(int version, bool big_endian, double slope, double inter) {
  NiftiBytes image;
  image.version = version;
  image.big_endian = big_endian;
  image.dims = kDims;
  image.datatype = Case::kCode;
  image.bitpix = static_cast<int>(8 * sizeof(typename Case::Stored));
  image.slope = slope;
  image.inter = inter;
  image.data = stored(Case::values(kCount), big_endian);
  return image;
}

TYPED_TEST(EveryType, IsScaledInDoubleInBothVersionsAndByteOrders) {
  const TempFolder folder;
  for (const int version : {1, 2}) {
    for (const bool big_endian : {false, true}) {
      for (const auto& [slope, inter] : {std::pair{0.0, 0.0}, {1.0, 0.0}, {0.375, -100.5}, {-3e-5, 0.1}}) {
        write_file(folder / "a.nii", image_of<TypeParam>(version, big_endian, slope, inter).file());
        const WholeFile whole = read_all(folder / "a.nii");
        const auto values = TypeParam::values(kCount);
        const bool scaled = slope != 0.0 && slope != 1.0;
        ASSERT_EQ(whole.values.size(), values.size());
        for (size_t i = 0; i < values.size(); ++i) {
          const float expected =
              scaled ? static_cast<float>(static_cast<double>(values[i]) * whole.header.slope +
                                          whole.header.inter)
                     : static_cast<float>(values[i]);
          ASSERT_EQ(whole.values[i], expected)
              << "voxel " << i << ", version " << version << ", slope " << slope;
        }
      }
    }
  }
}

TYPED_TEST(EveryType, HasTheSameBitsWithAndWithoutSpecialInstructions) {
  for (const bool swapped : {false, true}) {
    for (const double slope : {1.0, 1.8607}) {
      image::NiftiHeader header;
      header.datatype = TypeParam::kCode;
      header.swapped = swapped;
      header.slope = slope;
      const Bytes raw = stored(TypeParam::values(kCount), swapped);
      std::vector<float> chosen(kCount), portable(kCount);
      image::convert_voxels(header, raw, chosen);
      image::convert_portable(header, raw.data(), portable.data(), kCount);
      EXPECT_EQ(std::memcmp(chosen.data(), portable.data(), kCount * sizeof(float)), 0);
    }
  }
}

TYPED_TEST(EveryType, EqualsNibabel) {
  const std::optional<std::filesystem::path> python = judges_python();
  if (!python) {
    GTEST_SKIP() << "no judges: set SLIM_JUDGES";
  }
  const TempFolder folder;
  NibabelJudge judge;
  size_t number = 0;
  for (const int version : {1, 2}) {
    for (const bool big_endian : {false, true}) {
      for (const auto& [slope, inter] : {std::pair{0.0, 0.0}, {0.375, -100.5}, {-3e-5, 0.1}}) {
        const Bytes file = image_of<TypeParam>(version, big_endian, slope, inter).file();
        const bool zipped = number % 2 == 1;
        const auto path = folder / (std::to_string(number++) + (zipped ? ".nii.gz" : ".nii"));
        write_file(path, zipped ? gzip(file) : file);
        const WholeFile whole = read_all(path);
        judge.add(path, whole.header, whole.values);
      }
    }
  }
  const ProgramResult verdict = judge.verdict(*python);
  EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
}

TEST(ConvertVoxels, KeepsTheBitsOfUnscaledFloats) {
  const std::array<uint32_t, 5> bits{0x80000000u, 0x7fc12345u, 0xff800000u, 0x00000001u, 0x3f800000u};
  image::NiftiHeader header;
  header.datatype = 16;
  std::array<float, 5> out{};
  image::convert_voxels(header, std::as_bytes(std::span(bits)), out);
  EXPECT_EQ(std::memcmp(out.data(), bits.data(), sizeof bits), 0);
}

TEST(ConvertVoxels, DoesNotDependOnAlignmentOrLength) {
  std::vector<int16_t> values(200);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int16_t>(i * 331 - 20000);
  }
  image::NiftiHeader header;
  header.datatype = 4;
  header.slope = 1.8607;
  header.inter = -3.25;
  std::vector<float> whole(values.size());
  image::convert_voxels(header, std::as_bytes(std::span(values)), whole);
  for (size_t shift = 1; shift < 8; ++shift) {
    std::vector<std::byte> moved(shift);
    const auto bytes = std::as_bytes(std::span(values));
    moved.insert(moved.end(), bytes.begin(), bytes.end());
    for (const size_t count : {size_t{0}, size_t{1}, size_t{15}, size_t{133}}) {
      std::vector<float> part(count);
      image::convert_voxels(header, std::span<const std::byte>(moved).subspan(shift, 2 * count), part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin()));
    }
  }
}

TEST(ConvertVoxels, RefusesABufferOfAnotherSize) {
  image::NiftiHeader header;
  header.datatype = 4;
  const std::array<std::byte, 6> raw{};
  std::array<float, 4> out{};
  EXPECT_THROW(image::convert_voxels(header, raw, out), Error);
}

}  // namespace
}  // namespace slim::test
