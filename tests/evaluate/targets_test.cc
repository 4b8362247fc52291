// SPDX-License-Identifier: Apache-2.0
#include "evaluate/targets.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace slim::evaluate {
namespace {

Table participants(const std::vector<std::string>& values) {
  Table table{{"participant_id", "x"}, {}};
  for (size_t i = 0; i < values.size(); ++i) {
    table.rows.push_back({"sub-" + std::to_string(i + 1), values[i]});
  }
  return table;
}

std::string code_of(const Table& table, const std::string& column, const ColumnMeaning& meaning = {},
                    const TargetOptions& options = {}) {
  try {
    read_target(table, column, meaning, options);
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return "none";
}

TEST(ColumnMeaning, LevelsKeepTheOrderOfTheFile) {
  const ColumnMeaning meaning = column_meaning(
      R"({"x": {"Description": "d", "Levels": {"patient": "ill", "control": {"Description": "well"}, "at risk": "?"}},
          "age": {"Units": "year"}, "odd": 3, "list": {"Levels": ["b", "a", 2]}})",
      "x");
  EXPECT_EQ(meaning.levels, (std::vector<std::string>{"patient", "control", "at risk"}));
  EXPECT_EQ(meaning.description, "d");
  const std::string text = R"({"age": {"Units": "year"}, "odd": 3, "list": {"Levels": ["b", "a", 2]}})";
  EXPECT_EQ(column_meaning(text, "age").units, "year");
  EXPECT_EQ(column_meaning(text, "list").levels, (std::vector<std::string>{"b", "a", "2"}));
  EXPECT_TRUE(column_meaning(text, "odd").levels.empty());
  EXPECT_TRUE(column_meaning(text, "absent").units.empty());
  EXPECT_TRUE(column_meaning("[]", "x").levels.empty());
  EXPECT_THROW(column_meaning("{", "x"), Error);
}

TEST(Target, TypeFollowsLevelsThenUnitsThenTheValues) {
  const Table few = participants({"1", "2", "1", "2"});
  std::vector<std::string> many;
  for (int i = 0; i < 11; ++i) {
    many.push_back(std::to_string(i));
  }
  EXPECT_EQ(read_target(few, "x", {}).classes, (std::vector<std::string>{"1", "2"}));
  EXPECT_TRUE(read_target(few, "x", {.levels = {}, .units = "mm", .description = {}}).classes.empty());
  EXPECT_EQ(read_target(few, "x", {.levels = {"2", "1"}, .units = "mm", .description = {}}).classes,
            (std::vector<std::string>{"2", "1"}));
  EXPECT_TRUE(read_target(participants(many), "x", {}).classes.empty()) << "11 distinct numbers";
  many.pop_back();
  EXPECT_EQ(read_target(participants(many), "x", {}).classes.size(), 10u) << "10 distinct numbers";
  many.insert(many.end(), {"11", "12", "c"});
  EXPECT_EQ(read_target(participants(many), "x", {}).classes.size(), 13u) << "one value is a word";
  EXPECT_TRUE(read_target(few, "x", {}, {.type = TargetType::Number}).classes.empty());
  EXPECT_EQ(target_type_from("number"), TargetType::Number);
  EXPECT_THROW(target_type_from("float"), Error);
}

TEST(Target, ClassesAreIndexedInTheOrderOfLevelsElseSorted) {
  const Table table = participants({"b", "a", "c", "a"});
  const Target by_levels =
      read_target(table, "x", {.levels = {"c", "b", "a"}, .units = {}, .description = {}});
  EXPECT_EQ(by_levels.values[0].value, 1);
  EXPECT_EQ(by_levels.values[2].value, 0);
  EXPECT_EQ(read_target(table, "x", {}).classes, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(read_target(participants({"10", "9", "1"}), "x", {}).classes,
            (std::vector<std::string>{"1", "9", "10"}));
  const Target extra = read_target(table, "x", {.levels = {"b", "a"}, .units = {}, .description = {}});
  EXPECT_EQ(extra.classes, (std::vector<std::string>{"b", "a", "c"}));
  ASSERT_EQ(extra.warnings.size(), 1u);
  EXPECT_NE(extra.warnings[0].find("\"c\""), std::string::npos);
}

TEST(Target, MissingValuesAreListedAndNotNumbersRefused) {
  const ColumnMeaning years{.levels = {}, .units = "year", .description = {}};
  const Target target = read_target(participants({"20.5", "n/a", "89+", "", "-1e1"}), "x", years);
  EXPECT_EQ(target.missing, (std::vector<std::string>{"sub-2", "sub-4"}));
  ASSERT_EQ(target.values.size(), 3u);
  EXPECT_EQ(target.values[0].value, 20.5);
  EXPECT_EQ(target.values[1].value, 89);
  EXPECT_EQ(target.values[2].value, -10);
  EXPECT_EQ(target.units, "year");
  for (const char* text : {"nan", "inf", "1,5", "12 ", "0x10", "+-3", "1e999", "NA", "+"}) {
    EXPECT_EQ(code_of(participants({"1", text}), "x", years), "SB2003") << text;
  }
}

TEST(Target, AModelsClassesAreFixedAndOthersCountAsMissing) {
  const Target target =
      read_target(participants({"a", "z", "b"}), "x", {}, {.type = TargetType::Auto, .classes = {"b", "a"}});
  EXPECT_EQ(target.classes, (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(target.missing, (std::vector<std::string>{"sub-2"}));
  EXPECT_EQ(target.values.size(), 2u);
  EXPECT_EQ(target.warnings.size(), 1u);
}

TEST(Target, SessionsHaveTheirOwnValues) {
  const Table table{
      {"participant_id", "session_id", "x"},
      {{"sub-1", "ses-a", "3"}, {"sub-1", "ses-b", "4"}, {"sub-2", "n/a", "5"}, {"sub-3", "ses-a", "n/a"}}};
  const Target target = read_target(table, "x", {.levels = {}, .units = "mm", .description = {}});
  EXPECT_EQ(target.find("sub-1", "ses-b")->value, 4);
  EXPECT_EQ(target.find("sub-2", "ses-b")->value, 5) << "the participant's value serves all sessions";
  EXPECT_EQ(target.find("sub-1", "ses-c"), nullptr);
  EXPECT_EQ(target.find("sub-9"), nullptr);
  EXPECT_THROW(target.find("sub-1"), Error) << "two sessions, two values";
  EXPECT_EQ(target.missing, (std::vector<std::string>{"sub-3/ses-a"}));
}

TEST(Target, BrokenTablesAreRefused) {
  EXPECT_EQ(code_of(participants({"1"}), "y"), "SB1002");
  EXPECT_EQ(code_of({{"x"}, {{"1"}}}, "x"), "SB1002");
  EXPECT_EQ(code_of({{"participant_id", "x"}, {{"sub-1"}}}, "x"), "SB2003");
  EXPECT_EQ(code_of({{"participant_id", "x"}, {{"sub-1", "1"}, {"sub-1", "2"}}}, "x"), "SB2003");
  EXPECT_EQ(read_target({{"participant_id", "x"}, {{"sub-1", "1"}, {"sub-1", "1"}}}, "x", {}).values.size(),
            1u);
}

}  // namespace
}  // namespace slim::evaluate
