// SPDX-License-Identifier: Apache-2.0
#include "evaluate/splits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "core/error.h"
#include "evaluate/splits_table.h"
#include "tests/support/code_of.h"

namespace slim::evaluate {
namespace {

using test::code_of;

/// n participants; every third is a patient. `family` > 0: so many share a group.
std::vector<SplitItem> people(int n, int family = 0) {
  std::vector<SplitItem> items;
  for (int i = 0; i < n; ++i) {
    items.push_back({"D/sub-" + std::to_string(1000 + i),
                     family > 0 ? "family" + std::to_string(i / family) : "",
                     i % 3 == 0 ? "patient" : "control"});
  }
  return items;
}

std::map<std::pair<std::string, Role>, int> counts_of(const Splits& splits) {
  std::map<std::pair<std::string, Role>, int> counts;
  for (const SplitRow& row : splits.rows) {
    ++counts[{row.stratum, row.role.value()}];
  }
  return counts;
}

/// The columns and rows of a TSV text.
Table table_of(const std::string& text) {
  Table table;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> cells;
    std::istringstream parts(line);
    for (std::string cell; std::getline(parts, cell, '\t');) {
      cells.push_back(cell);
    }
    if (table.columns.empty()) {
      table.columns = cells;
    } else {
      table.rows.push_back(cells);
    }
  }
  return table;
}

TEST(Splits, FoldsAreDisjointStratifiedAndOfEqualSize) {
  const Splits splits = k_fold(people(60), 5, 7);
  std::map<std::pair<int, std::string>, int> counts;
  for (const SplitRow& row : splits.rows) {
    ++counts[{row.fold.value(), row.stratum}];
  }
  for (int fold = 0; fold < 5; ++fold) {
    EXPECT_EQ((counts[{fold, "patient"}]), 4);
    EXPECT_EQ((counts[{fold, "control"}]), 8);
  }
  EXPECT_EQ(splits.rows.size(), 60u);
}

TEST(Splits, TheCounterRunsOnAcrossStrataSoThatSmallStrataDoNotFillTheFirstFolds) {
  std::vector<SplitItem> items = people(10);
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].stratum = "alone" + std::to_string(i);
  }
  std::vector<int> sizes(5);
  for (const SplitRow& row : k_fold(items, 5, 7).rows) {
    ++sizes[static_cast<size_t>(*row.fold)];
  }
  EXPECT_EQ(sizes, std::vector<int>(5, 2));
}

TEST(Splits, HoldOutKeepsTheSharesInEveryStratum) {
  const auto counts = counts_of(hold_out(people(60), 7));
  EXPECT_EQ((counts.at({"patient", Role::Train})), 14);
  EXPECT_EQ((counts.at({"patient", Role::Validation})), 2);
  EXPECT_EQ((counts.at({"patient", Role::Test})), 4);
  EXPECT_EQ((counts.at({"control", Role::Train})), 28);
  EXPECT_EQ((counts.at({"control", Role::Validation})), 4);
  EXPECT_EQ((counts.at({"control", Role::Test})), 8);
}

TEST(Splits, HoldOutOfManySmallStrataStillTestsAFifth) {
  for (const int n : {3, 10, 37, 100}) {
    std::vector<SplitItem> items = people(n);
    for (size_t i = 0; i < items.size(); ++i) {
      items[i].stratum = "alone" + std::to_string(i);
    }
    std::map<Role, int> roles;
    for (const SplitRow& row : hold_out(items, 1).rows) {
      ++roles[row.role.value()];
    }
    EXPECT_NEAR(roles[Role::Train], 0.7 * n, 1.0) << n;
    EXPECT_NEAR(roles[Role::Validation], 0.1 * n, 1.0) << n;
    EXPECT_NEAR(roles[Role::Test], 0.2 * n, 1.0) << n;
  }
}

TEST(Splits, DoNotDependOnTheOrderOfParticipantsButOnTheSeed) {
  std::vector<SplitItem> items = people(50, 2);
  const Splits fold = k_fold(items, 4, 7), held = hold_out(items, 7);
  std::reverse(items.begin(), items.end());
  std::rotate(items.begin(), items.begin() + 17, items.end());
  EXPECT_EQ(k_fold(items, 4, 7).rows, fold.rows);
  EXPECT_EQ(hold_out(items, 7).rows, held.rows);
  EXPECT_NE(k_fold(items, 4, 8).rows, fold.rows);
  EXPECT_NE(hold_out(items, 8).rows, held.rows);
}

TEST(Splits, AreTheSameOnEveryMachine) {
  // SHA-256 of "7|a".."7|f", sorted (sha256sum): the order in which folds are dealt.
  const std::vector<SplitItem> items{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}, {"f"}};
  std::string folds;
  for (const SplitRow& row : k_fold(items, 3, 7).rows) {
    folds += std::to_string(*row.fold);
  }
  EXPECT_EQ(folds, "220101");
}

TEST(Splits, AGroupIsNeverDivided) {
  const std::vector<SplitItem> items = people(60, 4);
  for (const Splits& splits : {k_fold(items, 5, 3), hold_out(items, 3)}) {
    EXPECT_NO_THROW(refuse_divided_atoms(splits));
    std::map<std::string, std::set<std::pair<int, int>>> places;
    for (const SplitRow& row : splits.rows) {
      places[row.group].insert({row.fold.value_or(-1), static_cast<int>(row.role.value_or(Role::Train))});
    }
    EXPECT_EQ(places.size(), 15u);
    for (const auto& [group, parts] : places) {
      EXPECT_EQ(parts.size(), 1u) << group;
    }
  }
}

TEST(Splits, EveryParticipantIsTestedOnceAndNeverTrainedOnThen) {
  const Splits splits = k_fold(people(30), 5, 1);
  std::map<std::string, int> tested;
  for (int fold = 0; fold < 5; ++fold) {
    std::map<Role, int> roles;
    for (const SplitRow& row : roles_for_fold(splits, fold).rows) {
      ++roles[row.role.value()];
      tested[row.key] += *row.role == Role::Test ? 1 : 0;
      EXPECT_EQ(*row.role == Role::Validation, *row.fold == (fold + 1) % 5);
    }
    EXPECT_EQ(roles[Role::Train], 18);
  }
  for (const auto& [key, times] : tested) {
    EXPECT_EQ(times, 1) << key;
  }
  EXPECT_EQ(code_of([&] { roles_for_fold(splits, 5); }), "SB1002");
  EXPECT_EQ(code_of([] { roles_for_fold(k_fold(people(10), 2, 1), 0); }), "SB1002")
      << "nothing would be left to train";
}

TEST(Splits, ThoseOfAnEarlierSplitKeepTheirRole) {
  const Splits earlier = hold_out(people(40), 1);
  HoldOutOptions options;
  for (const SplitRow& row : earlier.rows) {
    options.kept[row.key] = *row.role;
  }
  const Splits later = hold_out(people(80), 99, options);
  std::map<Role, int> fresh;
  for (const SplitRow& row : later.rows) {
    const auto kept = options.kept.find(row.key);
    if (kept != options.kept.end()) {
      EXPECT_EQ(*row.role, kept->second) << row.key;
    } else {
      ++fresh[*row.role];
    }
  }
  EXPECT_EQ(fresh[Role::Train], 28);
  EXPECT_EQ(fresh[Role::Test], 8);
  // A new member of a family goes where the family is; a family in two parts is refused.
  options.kept = {{"D/sub-1000", Role::Test}};
  for (const SplitRow& row : hold_out(people(8, 4), 1, options).rows) {
    EXPECT_TRUE(row.group != "family0" || *row.role == Role::Test);
  }
  options.kept["D/sub-1001"] = Role::Train;
  EXPECT_EQ(code_of([&] { hold_out(people(8, 4), 1, options); }), "SB7001");
}

TEST(Splits, ImpossibleOnesAreRefused) {
  EXPECT_EQ(code_of([] { k_fold(people(10), 1, 0); }), "SB1002");
  EXPECT_EQ(code_of([] { k_fold(people(4), 5, 0); }), "SB1002");
  EXPECT_EQ(code_of([] { k_fold(people(40, 20), 5, 0); }), "SB1002") << "two groups, five folds";
  std::vector<SplitItem> twice = people(10);
  twice.push_back(twice.front());
  EXPECT_EQ(code_of([&] { k_fold(twice, 2, 0); }), "SB2003");
  EXPECT_EQ(code_of([&] { hold_out(twice, 0); }), "SB2003");
  EXPECT_TRUE(hold_out({}, 0).rows.empty());
}

TEST(Splits, QuintilesAreFifthsByRankAndEqualNumbersShareOne) {
  std::vector<double> values;
  for (int i = 0; i < 50; ++i) {
    values.push_back((i * 7) % 50);
  }
  std::map<std::string, int> counts;
  for (const std::string& name : quintiles(values)) {
    ++counts[name];
  }
  EXPECT_EQ(counts, (std::map<std::string, int>{{"q1", 10}, {"q2", 10}, {"q3", 10}, {"q4", 10}, {"q5", 10}}));
  EXPECT_EQ(quintiles(std::vector<double>{2, 2, 2}), (std::vector<std::string>{"q3", "q3", "q3"}));
  const std::vector<std::string> sites{"A", "B"}, levels{"control", "patient"};
  EXPECT_EQ(target_strata(std::vector<double>{1, 0}, levels, sites),
            (std::vector<std::string>{"patient|A", "control|B"}));
  EXPECT_EQ(target_strata(std::vector<double>{1, 0}, {}, sites), (std::vector<std::string>{"q4|A", "q2|B"}));
}

TEST(Splits, PermutedLabelsAreTheSameLabelsInsideEachStratum) {
  const std::vector<SplitItem> items = people(60);
  std::vector<double> values;
  for (size_t i = 0; i < items.size(); ++i) {
    values.push_back(static_cast<double>(i));
  }
  const std::vector<double> a = permute_within_strata(values, items, 1, 0);
  EXPECT_NE(a, values);
  EXPECT_NE(a, permute_within_strata(values, items, 1, 1));
  EXPECT_EQ(a, permute_within_strata(values, items, 1, 0));
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(items[static_cast<size_t>(a[i])].stratum, items[i].stratum);
  }
  EXPECT_EQ(std::set<double>(a.begin(), a.end()).size(), 60u);
}

TEST(Leakage, ATestedParticipantInATrainingListIsRefusedByName) {
  const std::vector<TrainedOn> trained{{"base", {"D/sub-01", "D/sub-02"}}, {"parent", {"D/sub-03"}}};
  const std::vector<std::string> clean{"D/sub-04", "E/sub-01"}, one{"D/sub-04", "D/sub-03"};
  EXPECT_NO_THROW(refuse_leakage(clean, trained)) << "another dataset's sub-01 is another person";
  EXPECT_TRUE(leaked(clean, trained).empty());
  EXPECT_EQ(leaked(one, trained), (std::vector<std::string>{"D/sub-03"}));
  try {
    refuse_leakage(one, trained);
    FAIL() << "the parent model's participant was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB7001");
    EXPECT_EQ(error.fault(), Fault::BadData);
    EXPECT_NE(error.sentence().find("1 test participant was in the training of model parent"),
              std::string::npos);
    EXPECT_NE(std::string(error.what()).find("D/sub-03"), std::string::npos);
  }
}

TEST(SplitsTable, WrittenAndReadAgainIsTheSame) {
  const std::vector<SplitItem> items = people(20, 2);
  const std::vector<Splits> all{k_fold(items, 4, 7), k_fold(items, 4, 8)};
  const std::vector<Splits> again = read_splits(table_of(splits_tsv(all)));
  ASSERT_EQ(again.size(), 2u);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(again[i].rows, all[i].rows);
    EXPECT_EQ(again[i].seed, all[i].seed);
    EXPECT_EQ(again[i].folds, 4);
    EXPECT_EQ(hash_of(again[i]), hash_of(all[i]));
  }
  const std::vector<Splits> held{hold_out(items, 3)};
  EXPECT_EQ(read_splits(table_of(splits_tsv(held))).front().rows, held.front().rows);
  EXPECT_NE(hash_of(all[0]), hash_of(all[1]));
}

TEST(SplitsTable, ChangedRowsDividedGroupsAndBrokenCellsAreRefused) {
  const std::vector<Splits> held{hold_out(people(20), 3)};
  Table table = table_of(splits_tsv(held));
  const size_t split = *table.column("split"), group = *table.column("group"), hash = *table.column("hash");
  Table changed = table;
  changed.rows[0][split] = changed.rows[0][split] == "test" ? "train" : "test";
  EXPECT_EQ(code_of([&] { read_splits(changed); }), "SB2003") << "the hash tells";
  for (auto& row : changed.rows) {
    row[hash] = "n/a";
  }
  EXPECT_NO_THROW(read_splits(changed)) << "without a hash the table is the user's own";
  changed.rows[0][group] = changed.rows[1][group] = "family";
  changed.rows[0][split] = "test";
  changed.rows[1][split] = "train";
  EXPECT_EQ(code_of([&] { read_splits(changed); }), "SB7001");
  for (const auto& [column, text] :
       {std::pair{"split", "training"}, std::pair{"split", "n/a"}, std::pair{"fold", "x"},
        std::pair{"fold", "-1"}, std::pair{"seed", "1.5"}}) {
    Table broken = table;
    for (auto& row : broken.rows) {
      row[hash] = "n/a";
    }
    broken.rows[3][*broken.column(column)] = text;
    EXPECT_EQ(code_of([&] { read_splits(broken); }), "SB2003") << column << " " << text;
  }
  Table twice = table;
  twice.rows.push_back(twice.rows.front());
  EXPECT_EQ(code_of([&] { read_splits(twice); }), "SB2003");
  EXPECT_EQ(code_of([] { read_splits({{"participant_id"}, {{"sub-01"}}}); }), "SB2003");
}

TEST(SplitsTable, AUsersOwnTableNeedsParticipantAndSplitOnly) {
  const std::vector<Splits> read =
      read_splits({{"participant_id", "split"}, {{"sub-02", "test"}, {"sub-01", "train"}}}, "D");
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0].rows[0].key, "D/sub-01");
  EXPECT_EQ(read[0].rows[0].role, Role::Train);
  EXPECT_EQ(read[0].rows[1].role, Role::Test);
}

}  // namespace
}  // namespace slim::evaluate
