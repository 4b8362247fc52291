// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "core/error.h"
#include "image/nifti_io.h"
#include "tests/image/nifti_bytes.h"
#include "tests/image/read_all.h"
#include "tests/support/run_program.h"

namespace slim::test {
namespace {

using image::Affine;
using image::NiftiHeader;
using image::parse_header;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The code of the error that reading the header gives, "none" without one.
std::string code_of(const Bytes& bytes) {
  try {
    parse_header(bytes, "image.nii");
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return "none";
}
std::string code_of(const NiftiBytes& image) { return code_of(image.file()); }

template <class Change>
NiftiHeader header_with(Change&& change) {
  NiftiBytes image;
  change(image);
  return parse_header(image.file(), "image.nii");
}
template <class Change>
std::string code_with(Change&& change) {
  NiftiBytes image;
  change(image);
  return code_of(image);
}

TEST(NiftiHeader, IsTheSameInBothVersionsAndByteOrders) {
  for (const int version : {1, 2}) {
    for (const bool big_endian : {false, true}) {
      const NiftiHeader header = header_with([&](NiftiBytes& image) {
        image.version = version;
        image.big_endian = big_endian;
        image.dims = {5, 4, 3, 7};
        image.pixdim[4] = 0.72;
        image.slope = 2.5;
        image.inter = -1.0;
      });
      EXPECT_EQ(header.dims, (std::vector<int64_t>{5, 4, 3, 7}));
      EXPECT_EQ(header.shape(), "5 x 4 x 3 x 7");
      EXPECT_EQ(header.grid.size, (std::array<int64_t, 3>{5, 4, 3}));
      EXPECT_EQ(header.grid.scanner_from_voxel, (Affine{{{-2, 0, 0, 90}, {0, 2, 0, -126}, {0, 0, 2, -72}}}));
      EXPECT_TRUE(header.is_four_d);
      EXPECT_EQ(header.repetition_time_s, 0.72);
      EXPECT_EQ(header.swapped, big_endian);
      EXPECT_EQ(header.slope, 2.5);
      EXPECT_EQ(header.inter, -1.0);
      EXPECT_EQ(header.data_offset, version == 1 ? 352u : 544u);
      EXPECT_TRUE(header.warnings.empty());
    }
  }
}

TEST(NiftiHeader, PrefersTheSformAndWarnsWhenTheQformPlacesCornersElsewhere) {
  const auto both = [](double shift) {
    return header_with([&](NiftiBytes& image) {
      image.qform_code = 1;
      image.pixdim[0] = -1;
      image.qform = {0, 1, 0, 90 + shift, -126, -72};  // half a turn about y, z mirrored: LAS
    });
  };
  EXPECT_TRUE(both(0.0).warnings.empty());
  EXPECT_TRUE(both(0.09).warnings.empty());
  const NiftiHeader apart = both(0.3);
  ASSERT_EQ(apart.warnings.size(), 1u);
  EXPECT_NE(apart.warnings[0].find("0.3 mm"), std::string::npos);
  EXPECT_EQ(apart.grid.scanner_from_voxel[0][3], 90.0);
  EXPECT_EQ(both(kNan).warnings.size(), 1u);
}

TEST(NiftiHeader, ReadsTheQformWithItsHandedness) {
  const auto qform = [](double handedness) {
    return header_with([&](NiftiBytes& image) {
             image.sform_code = 0;
             image.qform_code = 2;
             image.pixdim = {handedness, -3, 2, 4, 0, 0, 0, 0};  // spacings count without their sign
             image.qform = {0, 0, 0, 1, 2, 3};
           })
        .grid.scanner_from_voxel;
  };
  EXPECT_EQ(qform(1), (Affine{{{3, 0, 0, 1}, {0, 2, 0, 2}, {0, 0, 4, 3}}}));
  EXPECT_EQ(qform(0), qform(1));
  EXPECT_EQ(qform(-1), (Affine{{{3, 0, 0, 1}, {0, 2, 0, 2}, {0, 0, -4, 3}}}));
}

TEST(NiftiHeader, WithoutFormCodesKnowsNoOrientation) {
  const NiftiHeader header = header_with([](NiftiBytes& image) { image.sform_code = 0; });
  EXPECT_FALSE(header.has_orientation);
  EXPECT_EQ(image::spacing_mm(header.grid), (std::array<double, 3>{2, 2, 2}));
}

TEST(NiftiHeader, RefusesAffinesThatCannotBeInverted) {
  EXPECT_EQ(code_with([](NiftiBytes& image) { image.sform = {}; }), "SB2011");
  EXPECT_EQ(code_with([](NiftiBytes& image) { image.sform[5] = kNan; }), "SB2011");
  EXPECT_EQ(code_with([](NiftiBytes& image) { image.sform[3] = kInfinity; }), "SB2011");
  EXPECT_EQ(code_with([](NiftiBytes& image) {
              image.sform_code = 0;
              image.qform_code = 1;
              image.pixdim[2] = 0;
            }),
            "SB2011");
  EXPECT_EQ(code_with([](NiftiBytes& image) {
              image.sform_code = 0;
              image.qform_code = 1;
              image.qform[0] = kNan;
            }),
            "SB2011");
}

TEST(NiftiHeader, ScalesOtherUnitsOfLengthWithAWarning) {
  const auto unit = [](int units) { return header_with([&](NiftiBytes& image) { image.units = units; }); };
  EXPECT_EQ(unit(2).grid.scanner_from_voxel[0][3], 90.0);
  EXPECT_EQ(unit(0).grid.scanner_from_voxel[0][3], 90.0);
  EXPECT_TRUE(unit(0).warnings.empty());
  EXPECT_EQ(unit(1).grid.scanner_from_voxel[0][3], 90000.0);
  EXPECT_EQ(unit(1).warnings.size(), 1u);
  EXPECT_EQ(unit(3).grid.scanner_from_voxel[0][3], 0.09);
  EXPECT_EQ(unit(3).warnings.size(), 1u);
}

TEST(NiftiHeader, ReadsTheRepetitionTimeInItsUnit) {
  const auto time = [](double stored, int units) {
    return header_with([&](NiftiBytes& image) {
      image.dims = {4, 3, 2, 5};
      image.pixdim[4] = stored;
      image.units = units;
    });
  };
  EXPECT_EQ(time(0.72, 10).repetition_time_s, 0.72);
  EXPECT_EQ(time(720, 18).repetition_time_s, 0.72);
  EXPECT_EQ(time(720000, 26).repetition_time_s, 0.72);
  EXPECT_EQ(time(2, 2).repetition_time_s, 2.0);
  EXPECT_EQ(time(100, 10).repetition_time_s, 100.0);
  EXPECT_TRUE(time(100, 10).warnings.empty());
  EXPECT_EQ(time(2000, 10).repetition_time_s, 2.0);
  EXPECT_EQ(time(2000, 10).warnings.size(), 1u);
  for (const double bad : {0.0, -2.0, kNan, kInfinity}) {
    EXPECT_EQ(time(bad, 10).repetition_time_s, std::nullopt);
  }
  EXPECT_EQ(time(2, 34).repetition_time_s, std::nullopt);  // Hz
  EXPECT_EQ(time(2, 34).warnings.size(), 1u);
}

TEST(NiftiHeader, TellsFourDimensionsFromMore) {
  const auto dims = [](std::vector<int64_t> sizes) {
    return header_with([&](NiftiBytes& image) { image.dims = std::move(sizes); });
  };
  EXPECT_TRUE(dims({2, 2, 2, 5}).is_four_d);
  EXPECT_TRUE(dims({2, 2, 2, 5, 1, 1}).is_four_d);
  EXPECT_FALSE(dims({2, 2, 2}).is_four_d);
  EXPECT_FALSE(dims({2, 2, 2, 1}).is_four_d);
  EXPECT_FALSE(dims({2, 2, 2, 5, 3}).is_four_d);
  EXPECT_FALSE(dims({2, 2, 2, 1, 3}).is_four_d);
  EXPECT_EQ(dims({2, 2, 2, 5, 3}).frames, 5);
  EXPECT_EQ(dims({2, 2, 2, 5, 3}).volumes(), 15);
  EXPECT_EQ(dims({7}).grid.size, (std::array<int64_t, 3>{7, 1, 1}));
}

TEST(NiftiHeader, RefusesSizesThatCannotBe) {
  EXPECT_EQ(code_with([](NiftiBytes& image) { image.dims = {}; }), "SB2011");
  EXPECT_EQ(code_with([](NiftiBytes& image) { image.dims = {4, 0, 2}; }), "SB2011");
  EXPECT_EQ(code_with([](NiftiBytes& image) { image.dims = {4, -3, 2}; }), "SB2011");
  EXPECT_EQ(code_with([](NiftiBytes& image) {
              image.version = 2;
              image.dims = {int64_t{1} << 40, int64_t{1} << 40, 2};
            }),
            "SB2011");
  EXPECT_EQ(code_with([](NiftiBytes& image) { image.dims.assign(7, 32767); }), "SB2011");
}

TEST(NiftiHeader, NamesTheTypesThatItRefuses) {
  for (const auto& [code, name] :
       {std::pair{1, "BINARY"}, {32, "COMPLEX64"}, {128, "RGB24"}, {1536, "FLOAT128"}, {7, "UNKNOWN"}}) {
    try {
      header_with([&](NiftiBytes& image) { image.datatype = code; });
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "SB2011");
      EXPECT_NE(error.sentence().find("datatype " + std::to_string(code) + " (" + name), std::string::npos)
          << error.sentence();
    }
  }
  EXPECT_EQ(header_with([](NiftiBytes& image) { image.bitpix = 8; }).warnings.size(), 1u);
}

TEST(NiftiHeader, ScalesOnlyWithAUsableSlope) {
  const auto scaling = [](double slope, double inter) {
    const NiftiHeader header = header_with([&](NiftiBytes& image) {
      image.slope = slope;
      image.inter = inter;
    });
    return std::pair(header.slope, header.inter);
  };
  EXPECT_EQ(scaling(0, 5), std::pair(1.0, 0.0));
  EXPECT_EQ(scaling(kNan, 5), std::pair(1.0, 0.0));
  EXPECT_EQ(scaling(2, 5), std::pair(2.0, 5.0));
  EXPECT_EQ(scaling(2, kNan), std::pair(2.0, 0.0));
  EXPECT_EQ(scaling(-2, kInfinity), std::pair(-2.0, 0.0));
  EXPECT_EQ(code_with([](NiftiBytes& image) { image.slope = kInfinity; }), "SB2011");
}

TEST(NiftiHeader, ObeysTheOffsetAndSkipsExtensions) {
  const auto offset = [](double value) {
    return header_with([&](NiftiBytes& image) { image.vox_offset = value; });
  };
  EXPECT_EQ(offset(1296).data_offset, 1296u);
  EXPECT_EQ(offset(348).data_offset, 352u);
  EXPECT_EQ(offset(348).warnings.size(), 1u);
  for (const double bad : {-1.0, kNan, kInfinity, 1e30}) {
    EXPECT_EQ(code_with([&](NiftiBytes& image) { image.vox_offset = bad; }), "SB2011");
  }
}

TEST(NiftiHeader, RefusesWhatIsNotNifti) {
  Bytes analyze = NiftiBytes{}.file();
  std::fill_n(analyze.begin() + 344, 4, std::byte{0});
  EXPECT_EQ(code_of(analyze), "SB2010");
  const std::string text = "<nifti_image\n  image_offset = '0'\n/>\n";
  const auto ascii = std::as_bytes(std::span(text));
  EXPECT_EQ(code_of(Bytes(ascii.begin(), ascii.end())), "SB2010");
  EXPECT_EQ(code_of(Bytes(3)), "SB2010");
  EXPECT_EQ(code_of(Bytes(600)), "SB2010");
  EXPECT_EQ(code_of(Bytes{}), "SB2006");
  NiftiBytes second;
  second.version = 2;
  Bytes second_bytes = second.file(), other_magic = second_bytes;
  other_magic[8] = std::byte{'\n'};  // a line end translated in transfer
  EXPECT_EQ(code_of(other_magic), "SB2010");
  std::fill_n(second_bytes.begin() + 8, 4, std::byte{0});  // as nifticlib 3 writes it
  EXPECT_EQ(code_of(second_bytes), "none");
}

TEST(NiftiHeader, EveryCutInsideTheHeaderIsAnError) {
  for (const int version : {1, 2}) {
    NiftiBytes image;
    image.version = version;
    const Bytes whole = image.file();
    const size_t needed = version == 1 ? 348 : 540;
    for (size_t size = 0; size < needed; ++size) {
      const std::string code =
          code_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
      EXPECT_EQ(code, size > 0 && size < 4 ? "SB2010" : "SB2006") << size;
    }
    EXPECT_EQ(code_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(needed))), "none");
  }
}

TEST(NiftiHeader, FindsTheVoxelsOfAPairByEitherName) {
  const TempFolder folder;
  NiftiBytes image;
  image.is_pair = true;
  std::vector<float> values(24);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i) - 3.5f;
  }
  write_file(folder / "a.hdr", image.file());
  write_file(folder / "a.img", stored(values, false));
  EXPECT_EQ(read_all(folder / "a.hdr").values, values);
  EXPECT_EQ(read_all(folder / "a.img").values, values);
  // A pair's header under a single file's name, and the other way round, leave the voxels' place unknown.
  write_file(folder / "b.nii", image.file());
  image.is_pair = false;
  write_file(folder / "c.hdr", image.file());
  for (const char* name : {"b.nii", "c.hdr"}) {
    try {
      image::read_header(folder / name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "SB2011");
    }
  }
}

TEST(NiftiHeader, AnnexedContentIsNamedWithItsRemedy) {
  const TempFolder folder;
  std::filesystem::create_symlink("../.git/annex/objects/xX/0Z/MD5E-s12--ab.nii.gz/MD5E-s12--ab.nii.gz",
                                  folder / "link.nii.gz");
  std::filesystem::create_symlink("nowhere.nii.gz", folder / "dangling.nii.gz");
  const std::string pointer = "/annex/objects/MD5E-s12--ab.nii.gz\n";
  write_file(folder / "pointer.nii.gz", std::as_bytes(std::span(pointer)));
  for (const char* name : {"link.nii.gz", "pointer.nii.gz"}) {
    try {
      image::read_header(folder / name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "SB2102");
      EXPECT_EQ(error.details().remedy, "datalad get " + (folder / name).string());
    }
  }
  for (const char* name : {"dangling.nii.gz", "absent.nii.gz", "."}) {
    try {
      image::read_header(folder / name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "SB2101") << name;
    }
  }
}

TEST(NiftiHeader, SurvivesThirtyThousandMutations) {
  std::mt19937 random(20240517);
  const auto below = [&](size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random);
  };
  size_t usable = 0, refused = 0;
  for (int round = 0; round < 30000; ++round) {
    NiftiBytes image;
    image.version = 1 + round % 2;
    image.big_endian = below(2) == 0;
    image.dims = {4, 3, 2, 5};
    image.qform_code = static_cast<int>(below(2));
    Bytes bytes = image.file();
    for (size_t change = 0, changes = 1 + below(6); change < changes; ++change) {
      const size_t at = below(4) == 0 ? below(64) : below(bytes.size());
      static constexpr std::array<unsigned, 6> kLoud{0x00, 0x01, 0x7f, 0x80, 0xff, 0x40};
      bytes[at] = static_cast<std::byte>(below(2) == 0 ? kLoud[below(kLoud.size())] : below(256));
    }
    bytes.resize(below(8) == 0 ? below(bytes.size() + 1) : bytes.size());
    try {
      const NiftiHeader header = parse_header(bytes, "mutant.nii");
      ++usable;
      EXPECT_TRUE(image::is_invertible(header.grid.scanner_from_voxel));
      EXPECT_GT(header.grid.voxels(), 0);
      EXPECT_GT(image::bytes_per_voxel(header), 0u);
      EXPECT_TRUE(std::isfinite(header.slope) && std::isfinite(header.inter));
      EXPECT_GE(header.volumes(), header.frames);
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(error.fault(), Fault::BadData) << error.what();
    }
  }
  EXPECT_GT(usable, 1000u);
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace slim::test
