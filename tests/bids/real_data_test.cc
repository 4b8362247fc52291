// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "bids/bids_dataset.h"
#include "bids/tsv.h"
#include "tests/support/run_program.h"

namespace slim::bids {
namespace {

namespace fs = std::filesystem;

const BidsFile& bold_of(const BidsDataset& dataset) {
  for (const BidsFile& file : dataset.files()) {
    if (file.name.suffix == "bold" && file.name.extension != ".json") return file;
  }
  throw std::runtime_error("no bold file");
}

/// Datasets other people made, where they are at hand.
class RealData : public testing::Test {
 protected:
  void SetUp() override {
    const auto folder = test::data_folder();
    if (!folder) GTEST_SKIP() << "SLIM_DATA_DIR is not a folder";
    data_ = *folder;
  }
  static size_t count(const BidsDataset& dataset, std::string_view suffix) {
    return static_cast<size_t>(
        std::count_if(dataset.files().begin(), dataset.files().end(), [&](const BidsFile& file) {
          return file.name.suffix == suffix && file.name.extension == ".nii.gz";
        }));
  }
  fs::path data_;
};

TEST_F(RealData, StudyforrestHasItsOwnSidecar) {
  const BidsDataset dataset = BidsDataset::scan(data_ / "studyforrest");
  EXPECT_EQ(dataset.participants(), (std::vector<std::string>{"02"}));
  EXPECT_EQ(count(dataset, "bold"), 1U) << "the derivative below is another dataset";
  EXPECT_EQ(bold_metadata(dataset.metadata(bold_of(dataset)), "bold").repetition_time_s, 2.0);
  const BidsDataset derivative = BidsDataset::scan(data_ / "studyforrest/derivatives/elastixref");
  EXPECT_EQ(derivative.dataset_type(), "derivative");
  EXPECT_EQ(derivative.description()["GeneratedBy"][0]["Name"], "elastix");
  EXPECT_EQ(bold_of(derivative).name.raw(), bold_of(dataset).name);
}

TEST_F(RealData, Ds005InheritsFromTheRoot) {
  const BidsDataset dataset = BidsDataset::scan(data_ / "ds005-trunc");
  EXPECT_EQ(dataset.participants(), (std::vector<std::string>{"01"}));
  EXPECT_EQ(read_participants(dataset)->rows.size(), 16U) << "most have no folder";
  EXPECT_EQ(count(dataset, "bold"), 1U) << "run 02 has events but no image";
  const BidsFile& bold = bold_of(dataset);
  EXPECT_EQ(dataset.sidecars(bold), (std::vector<std::string>{"task-mixedgamblestask_bold.json"}));
  EXPECT_EQ(bold_metadata(dataset.metadata(bold), "bold").repetition_time_s, 2.0);
  const BidsDataset old = BidsDataset::scan(data_ / "ds005-trunc/derivatives/fmriprep");
  EXPECT_TRUE(old.description().is_null());
}

TEST_F(RealData, PumiHasAnEmptyTableLineAndForeignNames) {
  const BidsDataset dataset = BidsDataset::scan(data_ / "pumi-minitest");
  EXPECT_EQ(read_participants(dataset)->warnings.size(), 1U);
  EXPECT_EQ(count(dataset, "bold"), 1U);
  for (const BidsFile& file : dataset.files()) EXPECT_NE(file.datatype, "fmap") << file.path;
  EXPECT_EQ(bold_metadata(dataset.metadata(bold_of(dataset)), "bold").repetition_time_s, 2.52);
  EXPECT_EQ(dataset.sidecars(bold_of(dataset)).size(), 2U);
}

TEST_F(RealData, Ds002748HasAnatomyOnly) {
  const BidsDataset dataset = BidsDataset::scan(data_ / "ds002748-anat");
  EXPECT_EQ(dataset.participants(), (std::vector<std::string>{"01", "02", "52", "53"}));
  EXPECT_EQ(count(dataset, "T1w"), 4U);
  EXPECT_EQ(count(dataset, "bold"), 0U);
  EXPECT_NE(read_participants(dataset)->column("group"), std::nullopt);
}

}  // namespace
}  // namespace slim::bids
