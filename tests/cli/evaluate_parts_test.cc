// SPDX-License-Identifier: Apache-2.0
// group --stages evaluate, from the command line: how participants are divided, and what is kept for the next
// call.
#include <set>

#include "core/atomic_file.h"
#include "tests/cli/evaluate_fixture.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

TEST_F(Evaluate, FeaturesOfTheUntrainedEncoderAreMadeOnceAndThoseOfAStoppedCallServe) {
  const auto kept = [&] {
    std::map<fs::path, fs::file_time_type> files;
    for (const auto& entry : fs::directory_iterator(out_ / ".slimbrain/untrained")) {
      files[entry.path()] = fs::last_write_time(entry.path());
    }
    return files;
  };
  ASSERT_EQ(evaluate(toy_model(), {"--target", "group", "--cv", "3"}).exit_code, 0);
  const auto first = kept();
  EXPECT_EQ(first.size(), 24u) << "one a run";
  fs::remove(first.begin()->first);  // as after a stop
  write_text(out_ / ".slimbrain/untrained/.partial-x", "");
  const ProgramResult again = evaluate(toy_model(), {"--target", "sex", "--cv", "3"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const auto second = kept();
  ASSERT_EQ(second.size(), 24u);
  for (const auto& [path, time] : second) {
    EXPECT_EQ(time == first.at(path), path != first.begin()->first) << path;
  }
  fs::resize_file(first.rbegin()->first, 100);
  const ProgramResult broken = evaluate(toy_model(), {"--target", "group", "--cv", "3"});
  EXPECT_EQ(broken.exit_code, 65) << broken.err;
  EXPECT_NE(broken.err.find(first.rbegin()->first.filename().string()), std::string::npos) << broken.err;
}

TEST_F(Evaluate, FoldsRespectFamiliesAndBalanceSitesAndClassesCanBeWeighed) {
  std::string table = "participant_id\tkind\thalf\tfamily\tsite\tserial\n";
  for (int i = 1; i <= 12; ++i) {  // families of two; eight of kind a, four of kind b
    table += std::string(i < 10 ? "sub-0" : "sub-") + std::to_string(i) + (i <= 8 ? "\ta" : "\tb") +
             (i <= 6 ? "\tc" : "\td") + "\tf" + std::to_string((i + 1) / 2) +
             (i % 2 == 0 ? "\teast" : "\twest") + "\ts" + std::to_string(i) + "\n";
  }
  const fs::path targets = out_ / "targets.tsv";
  write_text(targets, table);
  const auto run = [&](const std::vector<std::string>& extra, const std::string& target = "kind") {
    const ProgramResult result =
        evaluate(toy_model(), joined({"--targets-file", targets, "--target", target, "--cv", "3"}, extra));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.err;
  };
  const auto folds = [&](const std::string& column, const std::string& target = "kind") {
    const bids::Table splits = bids::read_tsv(out_ / ("group_desc-" + target + "_splits.tsv"));
    std::map<std::string, std::multiset<std::string>> found;
    for (size_t r = 0; r < splits.rows.size(); ++r) {
      found[*splits.cell(r, column)].insert(*splits.cell(r, "fold"));
    }
    return found;
  };
  const auto probabilities = [&] {
    const bids::Table rows = bids::read_tsv(out_ / "group_desc-kind_predictions.tsv");
    double sum = 0;
    for (size_t r = 0; r < rows.rows.size(); ++r) {
      sum += *rows.cell(r, "method") == "probe" ? std::stod(*rows.cell(r, "probability_b")) : 0.0;
    }
    return sum / 12;
  };
  run({"--stratify", "site"});
  for (const auto& [stratum, own] : folds("stratum")) {
    const bool of_four = stratum.starts_with("a|");  // else of two
    for (const char* fold : {"0", "1", "2"}) {
      EXPECT_LE(own.count(fold), of_four ? 2u : 1u) << stratum;
      EXPECT_TRUE(own.count(fold) > 0 || !of_four) << stratum;
    }
  }
  const double plain = probabilities();
  run({"--stratify", "site", "--class-weight", "balanced"});
  EXPECT_NEAR(plain, 4.0 / 12, 0.15);
  EXPECT_GT(probabilities(), plain) << "the rarer class weighs more";
  run({"--cv-group", "family"}, "half");
  const auto families = folds("group", "half");
  EXPECT_EQ(families.size(), 6u);
  for (const auto& [family, own] : families) {
    EXPECT_EQ(own.count(*own.begin()), 2u) << family << " is divided";
  }
  std::string given = "participant_id\tfold\nsub-99\t0\n";
  for (int i = 1; i <= 11; ++i) {  // sub-12 is forgotten
    given += std::string(i < 10 ? "sub-0" : "sub-") + std::to_string(i) + "\t" + std::to_string(i % 3) + "\n";
  }
  write_text(out_ / "given.tsv", given);
  const ProgramResult by_file =
      evaluate(toy_model(), {"--targets-file", targets, "--target", "half", "--splits", out_ / "given.tsv"});
  ASSERT_EQ(by_file.exit_code, 0) << by_file.err;
  EXPECT_NE(by_file.err.find("without a clip store or a value: slimbrain/sub-99"), std::string::npos);
  EXPECT_NE(by_file.err.find("1 of 12 participants are not in"), std::string::npos) << by_file.err;
  for (const auto& [fold, own] : folds("fold", "half")) {
    EXPECT_EQ(own.size(), fold == "0" ? 3u : 4u) << fold;
  }
  const std::string stuck = run({"--stratify", "serial"});
  EXPECT_NE(stuck.find("no control"), std::string::npos) << stuck;
  EXPECT_EQ(cells("group_desc-kind_metrics.tsv", "auc").at("permuted"), "n/a");
  const ProgramResult weighed =
      evaluate(toy_model(), {"--target", "age", "--cv", "3", "--class-weight", "balanced"});
  EXPECT_EQ(weighed.exit_code, 64) << weighed.err;
}

}  // namespace
}  // namespace slim::test
