// SPDX-License-Identifier: Apache-2.0
#include "preproc/check_header.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

image::NiftiHeader good_header() {
  image::NiftiHeader header;
  header.grid = test::nlin6_grid();
  header.has_orientation = true;
  header.dims = {91, 109, 91, 100};
  header.frames = 100;
  header.is_four_d = true;
  header.repetition_time_s = 2.0;
  header.datatype = 16;
  return header;
}

std::string code_of(const image::NiftiHeader& header, const HeaderFacts& facts = {}) {
  return test::code_of([&] { check_header(header, facts, {}); });
}

TEST(CheckHeader, PassesAGoodRunAndPredictsItsLength) {
  const CheckedHeader checked = check_header(good_header(), {.dummy_frames = 4}, {});
  EXPECT_EQ(checked.repetition_time_s, 2.0);
  EXPECT_EQ(checked.predicted_frames, 264);  // floor(95 * 2 / 0.72) + 1
  EXPECT_TRUE(checked.warnings.empty());
}

TEST(CheckHeader, NamesTheFirstDefectInTheDocumentedOrder) {
  image::NiftiHeader header = good_header();
  header.frames = 5;
  header.dims = {91, 109, 3};
  header.grid.size = {91, 109, 3};
  header.has_orientation = false;
  header.is_four_d = false;
  header.repetition_time_s.reset();
  EXPECT_EQ(code_of(header), "SB2012");
  header.is_four_d = true;
  EXPECT_EQ(code_of(header), "SB2013");
  header.has_orientation = true;
  EXPECT_EQ(code_of(header), "SB2014");
  header.repetition_time_s = 2.0;
  EXPECT_EQ(code_of(header), "SB2009");
  header.frames = 100;
  EXPECT_EQ(code_of(header), "SB2016");
}

TEST(CheckHeader, LetsMetadataWinAndSaysHowFarTheyDiffer) {
  image::NiftiHeader header = good_header();
  EXPECT_TRUE(check_header(header, {.metadata_tr_s = 2.0005}, {}).warnings.empty());
  const CheckedHeader near = check_header(header, {.metadata_tr_s = 2.05}, {});
  EXPECT_EQ(near.repetition_time_s, 2.05);
  EXPECT_EQ(near.warnings.size(), 1u);
  EXPECT_EQ(code_of(header, {.metadata_tr_s = 1.79}), "SB2005");
  EXPECT_EQ(check_header(header, {.metadata_tr_s = 1.79, .tr_override_s = 1.5}, {}).repetition_time_s, 1.5);
  header.repetition_time_s.reset();
  EXPECT_EQ(check_header(header, {.metadata_tr_s = 1.79}, {}).repetition_time_s, 1.79);
}

TEST(CheckHeader, RefusesTimesThatCannotBe) {
  image::NiftiHeader header = good_header();
  for (const double tr : {0.0999, 20.1, -1.0, 0.0, std::nan(""), HUGE_VAL}) {
    EXPECT_EQ(code_of(header, {.tr_override_s = tr}), "SB2014") << tr;
  }
}

TEST(CheckHeader, CountsAcquiredAndPredictedVolumes) {
  image::NiftiHeader header = good_header();
  EXPECT_EQ(code_of(header, {.dummy_frames = 91}), "SB2009");
  EXPECT_EQ(code_of(header, {.dummy_frames = 200}), "SB2009");
  header.frames = 15;  // 39 frames of 0.72 s
  EXPECT_EQ(code_of(header), "SB2009");
  header.frames = 16;
  EXPECT_EQ(code_of(header), "");
}

TEST(CheckHeader, JudgesTheFieldOfViewByPlacement) {
  image::NiftiHeader slab = good_header();
  slab.grid.size[2] = 40;
  slab.grid.scanner_from_voxel[2][3] = 60.0;  // above the brain
  EXPECT_EQ(code_of(slab), "SB2016");
  EXPECT_EQ(code_of(slab, {.in_template_space = false}), "") << "a raw image lies anywhere";
  image::NiftiHeader coarse = good_header();
  coarse.grid = {.size = {20, 20, 20},
                 .scanner_from_voxel = {{{13, 0, 0, -124}, {0, 13, 0, -140}, {0, 0, 13, -110}}}};
  EXPECT_EQ(code_of(coarse), "SB2016");
  coarse.grid = {.size = {50, 50, 50},
                 .scanner_from_voxel = {{{5, 0, 0, -124}, {0, 5, 0, -140}, {0, 0, 5, -110}}}};
  EXPECT_EQ(check_header(coarse, {}, {}).warnings.size(), 1u);
}

TEST(CheckHeader, KnowsTheSpacesOfTwoFamilies) {
  for (const char* space : {"MNI152NLin6Asym", "MNI152NLin6Sym", "MNI"}) {
    EXPECT_EQ(template_family(space), "NLin6") << space;
  }
  for (const char* space : {"MNI152NLin2009cAsym", "MNI152NLin2009aSym", "MNI152NLin2009bAsym"}) {
    EXPECT_EQ(template_family(space), "NLin2009") << space;
  }
  for (const char* space :
       {"", "T1w", "MNI305", "MNI152Lin", "MNI152NLin2009dAsym", "MNI152NLin2009c", "mni152nlin6asym"}) {
    EXPECT_FALSE(template_family(space).has_value()) << space;
  }
}

TEST(CheckHeader, GivesTheDocumentedCodesForOddFiles) {
  const auto data = test::data_folder();
  if (!data.has_value()) {
    GTEST_SKIP() << "no test data";
  }
  const std::map<std::string, std::string> codes{{"3d-epi-oblique", "SB2012"},
                                                 {"3vols", "SB2009"},
                                                 {"5d_", "SB2012"},
                                                 {"bigendian_anatomical", "SB2012"},
                                                 {"interleaved", "SB2009"},
                                                 {"nifti2-3d", "SB2012"},
                                                 {"nifti2_example", "SB2009"},
                                                 {"oblique-ext-TRms", "SB2009"},
                                                 {"noqform-nosform", "SB2013"},
                                                 {"not-nifti", "SB2010"},
                                                 {"sclslope-sclinter", "SB2016"},
                                                 {"uint16-2vol", "SB2009"},
                                                 {"with_extension", "SB2012"},
                                                 {"avg152T1", "SB2010"},
                                                 {"test_motion_correction", "SB2014"},
                                                 {"AIL", "SB2012"},
                                                 {"LAS", "SB2012"}};
  size_t seen = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*data / "odd-nifti")) {
    const std::string name = entry.path().filename().string();
    for (const auto& [start, code] : codes) {
      if (entry.is_regular_file() && name.find(".json") == std::string::npos && name.starts_with(start)) {
        for (const bool in_template : {false, true}) {
          EXPECT_EQ(test::code_of([&] {
                      check_header(image::read_header(entry.path()), {.in_template_space = in_template}, {});
                    }),
                    code)
              << name;
        }
        if (start == "test_motion_correction") {
          EXPECT_EQ(test::code_of(
                        [&] { check_header(image::read_header(entry.path()), {.tr_override_s = 2.0}, {}); }),
                    "SB2009");
        }
        ++seen;
      }
    }
  }
  EXPECT_GE(seen, codes.size());
}

}  // namespace
}  // namespace slim::preproc
