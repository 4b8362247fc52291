// SPDX-License-Identifier: Apache-2.0
#include "bids/space_choice.h"

#include <gtest/gtest.h>

#include <map>

#include "core/error.h"

namespace slim::bids {
namespace {

struct Case {
  std::string what;
  std::vector<std::string> names;  // after sub-01_task-rest_
  ImageWish wish{};
  std::map<std::string, HeaderFacts> headers{};  // by the same name; others: 2 mm off the lattice, 100 frames
  std::string expected{};                        // a name, or a code
  SpaceDialect dialect = SpaceDialect::Standard;
};

constexpr HeaderFacts kLattice{.is_slim_lattice = true, .voxel_volume_mm3 = 8.0, .frames = 100};
constexpr HeaderFacts kTwoMm{.is_slim_lattice = false, .voxel_volume_mm3 = 8.0, .frames = 100};
constexpr HeaderFacts kOneMm{.is_slim_lattice = false, .voxel_volume_mm3 = 1.0, .frames = 100};
constexpr HeaderFacts kThreeMm{.is_slim_lattice = false, .voxel_volume_mm3 = 27.0, .frames = 100};
constexpr HeaderFacts kThreeD{.is_slim_lattice = true, .voxel_volume_mm3 = 8.0, .frames = 1};

const std::string k6 = "space-MNI152NLin6Asym_desc-preproc_bold.nii.gz";
const std::string k6r1 = "space-MNI152NLin6Asym_res-01_desc-preproc_bold.nii.gz";
const std::string k6r2 = "space-MNI152NLin6Asym_res-02_desc-preproc_bold.nii.gz";
const std::string k6r3 = "space-MNI152NLin6Asym_res-3_desc-preproc_bold.nii.gz";
const std::string k9 = "space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz";
const std::string k9r2 = "space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz";
const std::string k9a = "space-MNI152NLin2009aSym_desc-preproc_bold.nii.gz";
const std::string k6s = "space-MNI152NLin6Sym_desc-preproc_bold.nii.gz";
const std::string kT1w = "space-T1w_desc-preproc_bold.nii.gz";
const std::string kNative = "desc-preproc_bold.nii.gz";
const std::string kMni = "space-MNI_desc-preproc_bold.nii.gz";
const std::string kDenoised = "space-MNI152NLin6Asym_desc-denoised_bold.nii.gz";
const std::string kSmooth = "space-MNI152NLin6Asym_desc-smooth_bold.nii.gz";
const std::string kNoDesc = "space-MNI152NLin6Asym_bold.nii.gz";
const std::string k6Plain = "space-MNI152NLin6Asym_desc-preproc_bold.nii";

std::vector<Case> cases() {
  return {
      {.what = "one image", .names = {k6}, .expected = k6},
      {.what = "6Asym before 2009cAsym", .names = {k9, k6}, .expected = k6},
      {.what = "2009cAsym before other 2009", .names = {k9a, k9}, .expected = k9},
      {.what = "other 2009 alone", .names = {k9a, kT1w}, .expected = k9a},
      {.what = "6Sym alone", .names = {k6s, kNative}, .expected = k6s},
      {.what = "6Sym and 2009aSym: header decides",
       .names = {k6s, k9a},
       .headers = {{k6s, kThreeMm}},
       .expected = k9a},
      {.what = "6Sym and 2009aSym tie", .names = {k6s, k9a}, .expected = "SB3003"},
      {.what = "T1w only", .names = {kT1w}, .expected = "SB2007"},
      {.what = "native only", .names = {kNative}, .expected = "SB2007"},
      {.what = "MNI305 only", .names = {"space-MNI305_desc-preproc_bold.nii.gz"}, .expected = "SB2007"},
      {.what = "fsaverage volume",
       .names = {"space-fsaverage_desc-preproc_bold.nii.gz"},
       .expected = "SB2007"},
      {.what = "2009 without a letter",
       .names = {"space-MNI152NLin2009_desc-preproc_bold.nii.gz"},
       .expected = "SB2007"},
      {.what = "2009 with an odd letter",
       .names = {"space-MNI152NLin2009xAsym_desc-preproc_bold.nii.gz"},
       .expected = "SB2007"},
      {.what = "plain MNI means nothing", .names = {kMni}, .expected = "SB2007"},
      {.what = "plain MNI of DCAN", .names = {kMni, kT1w}, .expected = kMni, .dialect = SpaceDialect::Dcan},
      {.what = "asked space", .names = {k9, k6}, .wish = {.space = "MNI152NLin2009cAsym"}, .expected = k9},
      {.what = "asked space is absent",
       .names = {k9},
       .wish = {.space = "MNI152NLin6Asym"},
       .expected = "SB2007"},
      {.what = "asked space is unusable",
       .names = {k6, kT1w},
       .wish = {.space = "T1w"},
       .expected = "SB2007"},
      {.what = "asked res, other padding", .names = {k6r1, k6r2}, .wish = {.res = "2"}, .expected = k6r2},
      {.what = "asked res is absent", .names = {k6r1, k6r2}, .wish = {.res = "4"}, .expected = "SB2007"},
      {.what = "res goes after the space", .names = {k6r1, k9r2}, .wish = {.res = "2"}, .expected = "SB2007"},
      {.what = "lattice beats labels",
       .names = {k6r1, k6r2, k6},
       .headers = {{k6r1, kLattice}},
       .expected = k6r1},
      {.what = "nearest 8 mm3",
       .names = {k6r1, k6r2, k6r3},
       .headers = {{k6r1, kOneMm}, {k6r2, kTwoMm}, {k6r3, kThreeMm}},
       .expected = k6r2},
      {.what = "finer at equal distance",
       .names = {k6r1, k6r3},
       .headers = {{k6r1, {.voxel_volume_mm3 = 6.0, .frames = 9}},
                   {k6r3, {.voxel_volume_mm3 = 10.0, .frames = 9}}},
       .expected = k6r1},
      {.what = "equal headers tie", .names = {k6r1, k6r2}, .expected = "SB3003"},
      {.what = "two forms of one file tie", .names = {k6, k6Plain}, .expected = "SB3003"},
      {.what = "3-D ones do not count",
       .names = {k6r1, k6r2},
       .headers = {{k6r1, kThreeD}},
       .expected = k6r2},
      {.what = "all 3-D",
       .names = {k6r1, k6r2},
       .headers = {{k6r1, kThreeD}, {k6r2, kThreeD}},
       .expected = "SB2012"},
      {.what = "preproc before denoised", .names = {kDenoised, k6}, .expected = k6},
      {.what = "preproc elsewhere before denoised", .names = {kDenoised, k9}, .expected = k9},
      {.what = "a single other desc", .names = {kDenoised, kT1w}, .expected = kDenoised},
      {.what = "two other descs", .names = {kDenoised, kSmooth}, .expected = "SB3003"},
      {.what = "no desc at all", .names = {kNoDesc}, .expected = kNoDesc},
      {.what = "asked desc", .names = {k6, kSmooth}, .wish = {.desc = "smooth"}, .expected = kSmooth},
      {.what = "asked desc is absent", .names = {k6}, .wish = {.desc = "smooth"}, .expected = "SB2007"},
      {.what = "all three asked",
       .names = {k6r1, k6r2, k9, kDenoised},
       .wish = {.space = "MNI152NLin6Asym", .res = "1", .desc = "preproc"},
       .expected = k6r1},
  };
}

std::string outcome(const Case& test, std::string* reason) {
  std::vector<ImageCandidate> candidates;
  for (const std::string& name : test.names) {
    const std::string file = "sub-01_task-rest_" + name;
    candidates.push_back({BidsName::parse(file).value(), file, "/data/" + file});
  }
  const HeaderReader reader = [&](const std::filesystem::path& path) {
    const std::string name = path.filename().string().substr(std::string("sub-01_task-rest_").size());
    const auto found = test.headers.find(name);
    return found == test.headers.end() ? kTwoMm : found->second;
  };
  try {
    const ImageChoice choice = choose_image(candidates, test.wish, reader, test.dialect);
    *reason = choice.reason;
    return test.names[choice.index];
  } catch (const Error& error) {
    *reason = error.what();
    return std::string(error.code());
  }
}

TEST(SpaceChoice, FollowsTheTable) {
  for (const Case& test : cases()) {
    std::string reason;
    EXPECT_EQ(outcome(test, &reason), test.expected) << test.what << ": " << reason;
    EXPECT_FALSE(reason.empty()) << test.what;
  }
}

TEST(SpaceChoice, DoesNotDependOnTheOrderOfFiles) {
  for (Case test : cases()) {
    std::string reason;
    std::sort(test.names.begin(), test.names.end());
    do {
      EXPECT_EQ(outcome(test, &reason), test.expected) << test.what << ": " << reason;
    } while (std::next_permutation(test.names.begin(), test.names.end()));
  }
}

TEST(SpaceChoice, ReadsNoHeaderWhenLabelsSettleIt) {
  const std::vector<ImageCandidate> candidates{
      {BidsName::parse("sub-01_task-rest_" + k6).value(), "a", "a"},
      {BidsName::parse("sub-01_task-rest_" + kT1w).value(), "b", "b"}};
  const HeaderReader reader = [](const std::filesystem::path&) -> HeaderFacts {
    ADD_FAILURE() << "a header was read";
    return {};
  };
  EXPECT_EQ(choose_image(candidates, {}, reader).index, 0u);
}

TEST(SpaceChoice, NamesFoundAndNeededSpacesAndTheRemedy) {
  std::string text;
  outcome({.what = "", .names = {kT1w, "space-MNI305_desc-preproc_bold.nii.gz"}}, &text);
  EXPECT_NE(text.find("found MNI305, T1w"), std::string::npos) << text;
  EXPECT_NE(text.find("MNI152NLin6Asym"), std::string::npos) << text;
  EXPECT_NE(text.find("--output-spaces MNI152NLin6Asym:res-2"), std::string::npos) << text;
}

TEST(SpaceChoice, KnowsFamiliesAndDenoisedNames) {
  EXPECT_EQ(template_family("MNI152NLin2009bSym"), "NLin2009");
  EXPECT_EQ(template_family("MNI152NLin6Sym"), "NLin6");
  for (const char* name : {"sub-1_desc-denoised_bold.nii.gz", "sub-1_desc-denoisedSmoothed_bold.nii.gz",
                           "sub-1_desc-smoothAROMAnonaggr_bold.nii.gz", "sub-1_desc-residual_bold.nii.gz"}) {
    EXPECT_TRUE(is_denoised_by_name(BidsName::parse(name).value())) << name;
  }
  for (const char* name :
       {"sub-1_desc-preproc_bold.nii.gz", "sub-1_bold.nii.gz", "sub-1_desc-smooth_bold.nii.gz"}) {
    EXPECT_FALSE(is_denoised_by_name(BidsName::parse(name).value())) << name;
  }
}

}  // namespace
}  // namespace slim::bids
