// SPDX-License-Identifier: Apache-2.0
#include "bids/bids_name.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "bids/schema.h"
#include "core/error.h"

namespace slim::bids {
namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    result.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

class RandomNames {
 public:
  explicit RandomNames(uint32_t seed) : random_(seed) {}

  size_t below(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }
  template <class List>
  auto pick(const List& list) {
    return list[below(std::size(list))];
  }
  std::string value(std::string_view key) {
    for (const EntityRow& row : entity_rows()) {
      if (row.key == key && !row.values.empty()) return pick(words(row.values));
    }
    constexpr std::string_view kDigits = "0123456789";
    constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+";
    const std::string_view from = is_index_entity(key) ? kDigits : kLetters;
    std::string text;
    for (size_t n = 1 + below(8); n > 0; --n) text += from[below(from.size())];
    return text;
  }
  /// A legal name of the standard and the rule it follows, spelled without the code under test.
  std::pair<std::string, NameRule> name() {
    const NameRule rule = pick(name_rules());
    std::string text;
    for (std::string key : words(rule.entities)) {
      const bool required = key.ends_with('!');
      if (required) key.pop_back();
      if (required || below(3) == 0) text += key + "-" + value(key) + "_";
    }
    return {text + pick(words(rule.suffixes)) + pick(words(rule.extensions)), rule};
  }
  std::string bytes() {
    constexpr std::string_view kLikely = "sub-01_task-rest_run-1_bold.nii.gz__--..//\0\n\xff\xc3";
    std::string text;
    for (size_t n = below(40); n > 0; --n) {
      text += below(4) == 0 ? static_cast<char>(below(256)) : kLikely[below(kLikely.size())];
    }
    return text;
  }

 private:
  std::mt19937 random_;
};

TEST(BidsName, TakesAnOrdinaryNameApart) {
  const auto name = BidsName::parse("sub-01_ses-A_task-rest_acq-x+y_run-01_desc-preproc_bold.nii.gz");
  ASSERT_TRUE(name);
  const std::vector<std::pair<std::string, std::string>> entities{
      {"sub", "01"}, {"ses", "A"}, {"task", "rest"}, {"acq", "x+y"}, {"run", "01"}, {"desc", "preproc"}};
  EXPECT_EQ(name->entities, entities);
  EXPECT_EQ(name->suffix, "bold");
  EXPECT_EQ(name->extension, ".nii.gz");
  ASSERT_NE(name->get("run"), nullptr);
  EXPECT_EQ(*name->get("run"), "01");
  EXPECT_EQ(name->get("echo"), nullptr);
}

TEST(BidsName, RandomLegalNamesComeBackAsTheSameText) {
  RandomNames random(7);
  for (int i = 0; i < 100000; ++i) {
    const auto [text, rule] = random.name();
    const auto name = BidsName::parse(text);
    ASSERT_TRUE(name) << text;
    ASSERT_TRUE(name->is_canonical()) << text;
    ASSERT_EQ(name->build(), text);
    // The rule that made the name must accept it too.
    ASSERT_EQ(name_fault(*name, rule.datatypes, rule.derivative), std::nullopt) << text;
  }
}

TEST(BidsName, OrderOfEntitiesDoesNotChangeWhatIsBuilt) {
  RandomNames random(8);
  std::mt19937 shuffle(9);
  for (int i = 0; i < 2000; ++i) {
    const auto [text, rule] = random.name();
    BidsName name = *BidsName::parse(text);
    std::shuffle(name.entities.begin(), name.entities.end(), shuffle);
    ASSERT_EQ(name.build(), text);
  }
}

TEST(BidsName, HostileBytesNeverThrowAndWhatIsTakenCanBeBuilt) {
  RandomNames random(10);
  int taken = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::string bytes = random.bytes();
    const auto name = BidsName::parse(bytes);
    if (!name) continue;
    ++taken;
    if (name->is_canonical()) {
      ASSERT_EQ(name->build(), bytes);
    }
  }
  EXPECT_GT(taken, 20);
}

TEST(BidsName, OurOwnNamesKeepTheirOrder) {
  for (const char* text :
       {"sub-01_task-rest_run-1_space-MNI152NLin6Asym_res-slim_desc-slimprep_clips.safetensors",
        "sub-01_task-rest_space-MNI152NLin6Asym_res-slim_desc-brain_mask.nii.gz",
        "sub-01_task-rest_space-MNI152NLin6Asym_res-slim_stat-tsnr_boldmap.nii.gz",
        "sub-01_task-rest_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt",
        "sub-01_task-rest_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
        "sub-01_task-rest_desc-confounds_timeseries.tsv",
        "sub-01_task-rest_desc-slimprep_qc.json",
        "sub-01_ses-2_label-GM_probseg.nii.gz",
        "sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
        "sub-01_task-rest_space-MNI152NLin6Asym_res-slim_desc-basewindows_timeseries.tsv",
        "sub-01_task-rest_space-MNI152NLin6Asym_seg-Schaefer_stat-mean_timeseries.tsv",
        "sub-01_task-rest_space-MNI152NLin6Asym_res-slim_desc-base_embedding.tsv",
        "sub-01_task-rest_space-MNI152NLin6Asym_res-slim_desc-basetokens_embedding.safetensors",
        "sub-01_task-rest_space-MNI152NLin6Asym_res-slim_stat-intgrad_desc-sex_boldmap.nii.gz",
        "sub-01_task-rest_space-boldref_stat-intgrad_desc-sex_boldmap.nii.gz",
        "sub-01_task-rest_space-MNI152NLin6Asym_seg-Schaefer_stat-intgrad_desc-sex_saliency.tsv",
        "slimbrain_desc-sex_predictions.tsv",
        "group_index.tsv",
        "group_task-rest_desc-base_embedding.tsv",
        "group_desc-sex_metrics.json",
        "group_task-rest_space-MNI152NLin6Asym_stat-intgrad_desc-sex_boldmap.nii.gz",
        "sub-01_ses-2.html",
        "group_report.html",
        "sub-01_task-rest_desc-carpet_bold.svg"}) {
    const auto name = BidsName::parse(text);
    ASSERT_TRUE(name) << text;
    EXPECT_TRUE(name->is_canonical()) << text;
    EXPECT_EQ(name->build(), text);
    BidsName reversed = *name;
    std::reverse(reversed.entities.begin(), reversed.entities.end());
    EXPECT_EQ(reversed.build(), text);
  }
}

TEST(BidsName, RefusesWhatIsNoName) {
  for (const std::string text : {"",
                                 ".",
                                 "README",
                                 "sub-01",
                                 "sub-01_bold",
                                 "sub-01_T1w.",
                                 ".sub-01_T1w.nii",
                                 "sub-_T1w.nii",
                                 "-01_T1w.nii",
                                 "sub-01__T1w.nii",
                                 "_T1w.nii",
                                 "sub-01_.nii",
                                 "sub-01.nii.gz",
                                 "sub-0 1_T1w.nii",
                                 "sub-01_run-1a_bold.nii",
                                 "sub-01_run-x_bold.nii",
                                 "sub-01_T1-w.nii",
                                 "sub-01/sub-01_T1w.nii",
                                 "sub-01_task-a-b_bold.nii",
                                 "sub-01_task-rest_bold_space-MNI_preproc.nii.gz",
                                 "M2212424_gre_field_mapping.nii.gz",
                                 "sub-01_T1w.nii gz",
                                 "sub-\xc3\xa9_T1w.nii",
                                 "dataset_description.json"}) {
    EXPECT_FALSE(BidsName::parse(text)) << text;
  }
}

TEST(BidsName, AcceptsWrongOrderAndRepeatsOnReadingOnly) {
  const auto old = BidsName::parse("sub-01_task-rest_space-fsaverage_hemi-L_bold.func.gii");
  ASSERT_TRUE(old);
  EXPECT_FALSE(old->is_canonical());
  EXPECT_EQ(old->build(), "sub-01_task-rest_hemi-L_space-fsaverage_bold.func.gii");
  const auto twice = BidsName::parse("sub-01_run-1_run-2_bold.nii.gz");
  ASSERT_TRUE(twice);
  EXPECT_FALSE(twice->is_canonical());
  try {
    twice->build();
    FAIL() << "a repeated key was written";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB9001");
  }
}

TEST(BidsName, NeverWritesIllegalParts) {
  const BidsName good = *BidsName::parse("sub-01_task-rest_bold.nii.gz");
  for (const BidsName& bad :
       {good.with("task", "a_b"), good.with("task", ""), good.with("run", "1a"), good.with("ta sk", "x"),
        good.with_suffix("bo-ld"), good.with_suffix(""), good.with_extension(""), good.with_extension("nii"),
        good.with_extension("./x"), good.with("task", "\xff")}) {
    EXPECT_THROW(bad.build(), Error);
  }
}

TEST(BidsName, UnknownKeysKeepTheirPlace) {
  for (const char* text : {"sub-01_task-rest_foo-1_run-1_bold.nii.gz", "foo-2_sub-01_task-rest_bold.nii.gz",
                           "sub-01_task-rest_bold-x_foo-1_bold.nii.gz"}) {
    const auto name = BidsName::parse(text);
    ASSERT_TRUE(name) << text;
    EXPECT_TRUE(name->is_canonical()) << text;
    EXPECT_EQ(name->build(), text);
  }
}

TEST(BidsName, EditsAreInsertedInOrder) {
  const BidsName name = *BidsName::parse("sub-01_task-rest_desc-preproc_bold.nii.gz");
  EXPECT_EQ(
      name.with("run", "2").with("space", "MNI152NLin6Asym").with("stat", "mean").with("ses", "A").build(),
      "sub-01_ses-A_task-rest_run-2_space-MNI152NLin6Asym_stat-mean_desc-preproc_bold.nii.gz");
  EXPECT_EQ(name.with("task", "nback").without("desc").with_suffix("mask").with_extension(".nii").build(),
            "sub-01_task-nback_mask.nii");
  EXPECT_EQ(name, *BidsName::parse("sub-01_task-rest_desc-preproc_bold.nii.gz"));
}

TEST(BidsName, RawNamesTheAcquiredRun) {
  const BidsName name = *BidsName::parse(
      "sub-01_ses-A_task-rest_acq-mb_dir-AP_run-01_echo-2_part-mag_space-MNI152NLin6Asym_res-2_stat-mean_"
      "desc-x_bold.nii");
  EXPECT_EQ(name.raw().build(), "sub-01_ses-A_task-rest_acq-mb_dir-AP_run-01_echo-2_part-mag_bold.nii");
}

TEST(BidsName, LabelsCompareAsPeopleMeanThem) {
  EXPECT_EQ(bare_label("sub", "sub-01"), "01");
  EXPECT_EQ(bare_label("sub", "01"), "01");
  EXPECT_EQ(bare_label("sub", "sub-"), "");
  EXPECT_EQ(bare_label("sub", "sub"), "sub");
  EXPECT_TRUE(same_label("run", "1", "01"));
  EXPECT_TRUE(same_label("echo", "000", "0"));
  EXPECT_TRUE(same_label("run", "00000000000000000000000000000001", "1"));
  EXPECT_FALSE(same_label("run", "1", "10"));
  EXPECT_FALSE(same_label("run", "1", ""));
  EXPECT_FALSE(same_label("sub", "1", "01"));
  EXPECT_FALSE(same_label("task", "Rest", "rest"));
}

TEST(Schema, SaysWhyANameIsNotLegal) {
  const auto fault = [](const char* text, bool derivative = false) {
    return name_fault(*BidsName::parse(text), "func", derivative).value_or("");
  };
  EXPECT_EQ(fault("sub-01_task-rest_bold.nii.gz"), "");
  EXPECT_EQ(fault("sub-01_bold.nii.gz"), "the entity task is missing");
  EXPECT_EQ(fault("sub-01_task-rest_flip-1_bold.nii.gz"), "the entity flip does not belong here");
  EXPECT_EQ(fault("sub-01_task-rest_part-half_bold.nii.gz"), "part-half is not one of mag phase real imag");
  EXPECT_EQ(fault("sub-01_task-rest_bold.png"), "the suffix bold does not go with .png");
  EXPECT_EQ(fault("sub-01_task-rest_clips.safetensors"), "no file of the folder func has the suffix clips");
  EXPECT_NE(fault("sub-01_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"), "");
  EXPECT_EQ(fault("sub-01_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz", true), "");
}

TEST(Schema, KnowsEntitiesByKeyAndByName) {
  EXPECT_EQ(entity_key("acquisition"), "acq");
  EXPECT_EQ(entity_key("acq"), "acq");
  EXPECT_EQ(entity_key("stat"), "stat");
  EXPECT_EQ(entity_key("acqu"), std::nullopt);
  EXPECT_LT(*entity_rank("label"), *entity_rank("from"));
  EXPECT_LT(*entity_rank("stat"), *entity_rank("desc"));
}

}  // namespace
}  // namespace slim::bids
