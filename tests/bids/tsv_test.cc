// SPDX-License-Identifier: Apache-2.0
#include "bids/tsv.h"

#include <gtest/gtest.h>

#include <clocale>
#include <random>
#include <string>

#include "core/error.h"
#include "tests/support/run_program.h"
#include "tests/support/synthetic_bids.h"

namespace slim::bids {
namespace {

namespace fs = std::filesystem;

std::string refusal(std::string_view text, std::string_view unique = {}) {
  try {
    parse_tsv(text, "participants.tsv", {.unique_column = unique});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB2003");
    return error.sentence();
  }
  return "accepted";
}

TEST(Tsv, ReadsColumnsRowsAndMissingValues) {
  const Table table = parse_tsv("participant_id\tage\nsub-01\t20\nsub-02\tn/a\n", "participants.tsv");
  EXPECT_EQ(table.columns, (std::vector<std::string>{"participant_id", "age"}));
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(*table.cell(1, "participant_id"), "sub-02");
  EXPECT_TRUE(is_missing(*table.cell(1, "age")));
  EXPECT_EQ(table.cell(0, "sex"), nullptr);
  EXPECT_EQ(table.cell(2, "age"), nullptr);
  EXPECT_TRUE(table.warnings.empty());
  EXPECT_EQ(parse_tsv("a\tb\n1\t2", "x.tsv").rows.size(), 1U) << "the last line may lack its end";
}

TEST(Tsv, ToleratesOddEndsWithAWarningAndReadsTheSame) {
  const Table plain = parse_tsv("a\tb\n1\t2\n3\tn/a\n", "x.tsv");
  for (const std::string text :
       {"\xEF\xBB\xBF"
        "a\tb\n1\t2\n3\tn/a\n",
        "a\tb\r\n1\t2\r\n3\tn/a\r\n", "a\tb\n1\t2  \n3\tn/a\n", "a\tb\n1\t2\n3\tn/a\n\n",
        "a\tb\n1\t2\n3\tn/a\n \t \n\n", "a\tb\t\n1\t2\t\n3\tn/a\t\n", "a\tb\n1\t2\t\n3\tn/a\n"}) {
    const Table table = parse_tsv(text, "x.tsv");
    EXPECT_EQ(table.columns, plain.columns) << testing::PrintToString(text);
    EXPECT_EQ(table.rows, plain.rows) << testing::PrintToString(text);
    EXPECT_FALSE(table.warnings.empty()) << testing::PrintToString(text);
  }
}

TEST(Tsv, KeepsEmptyLastFields) {
  const Table table = parse_tsv("a\tb\tc\n1\t\t\n", "x.tsv");
  EXPECT_EQ(table.rows, (std::vector<std::vector<std::string>>{{"1", "", ""}}));
  EXPECT_TRUE(table.warnings.empty());
}

TEST(Tsv, RefusesWithTheLineNumber) {
  EXPECT_EQ(refusal("a\tb\tc\td\n1\t2\t3\t4\n1\t2\t3\n"),
            "participants.tsv line 3 has 3 fields, the header has 4.");
  EXPECT_EQ(refusal("a\tb\n1\t2\t3\n"), "participants.tsv line 2 has 3 fields, the header has 2.");
  EXPECT_EQ(refusal("a\tb\n1\t2\n\n3\t4\n"), "participants.tsv line 3 has 1 fields, the header has 2.");
  EXPECT_EQ(refusal("a\tb\ta\n1\t2\t3\n"), "participants.tsv line 1 has the column \"a\" twice.");
  EXPECT_EQ(refusal("participant_id\nsub-01\nsub-02\nsub-01\n", "participant_id"),
            "participants.tsv line 4 repeats participant_id sub-01 of line 2.");
  EXPECT_EQ(refusal("subject\nsub-01\n", "participant_id"),
            "participants.tsv line 1 has no column participant_id.");
  EXPECT_EQ(refusal("a\tb\r1\t2\r"),
            "participants.tsv line 1 ends with a carriage return alone; lines end with LF.");
  EXPECT_EQ(refusal("a\tb\n1\r\t2\n"),
            "participants.tsv line 2 has a carriage return inside; lines end with LF.");
  EXPECT_EQ(refusal("a\tb\n1\t\xff\n"), "participants.tsv line 2 is not UTF-8 text.");
  EXPECT_EQ(refusal(std::string_view("a\n\0\n", 4)), "participants.tsv line 2 is not UTF-8 text.");
  EXPECT_EQ(refusal("\xFF\xFE"
                    "a"),
            "participants.tsv line 1 is UTF-16; tables are UTF-8.");
  EXPECT_NE(refusal(""), "accepted");
  EXPECT_NE(refusal("\n\n"), "accepted");
}

TEST(Tsv, HostileBytesAreReadOrRefused) {
  constexpr std::string_view kLikely = "ab\t\t\n\n\r \xEF\xBB\xBF\xc3\xa9n/a";
  std::mt19937 random(3);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  int accepted = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (size_t n = below(30); n > 0; --n) {
      text += below(20) == 0 ? static_cast<char>(below(256)) : kLikely[below(kLikely.size())];
    }
    try {
      const Table table = parse_tsv(text, "x.tsv");
      ++accepted;
      for (const auto& row : table.rows) ASSERT_EQ(row.size(), table.columns.size());
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), "SB2003");
    }
  }
  EXPECT_GT(accepted, 100);
}

TEST(Tsv, ReadsNumbersWhateverTheLocale) {
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  EXPECT_EQ(to_number("1.5"), 1.5);
  std::setlocale(LC_ALL, "C");
  EXPECT_EQ(to_number("-2e3"), -2000);
  EXPECT_EQ(to_number("+7"), 7);
  for (const char* text : {"n/a", "", "1,5", "1.5 ", "89+", "x", "+-1", "+"})
    EXPECT_EQ(to_number(text), std::nullopt) << text;
}

TEST(Tsv, FilesThatAreNotThereSayHow) {
  const test::TempFolder temporary;
  const fs::path& folder = temporary.path();
  const auto code = [](const fs::path& path) -> std::string {
    try {
      read_tsv(path);
    } catch (const Error& error) {
      return std::string(error.code());
    }
    return "read";
  };
  EXPECT_EQ(code(folder / "absent.tsv"), "SB2101");
  test::write_file(folder / "pointer.tsv", "/annex/objects/MD5E-s12--0a1b.tsv\n");
  EXPECT_EQ(code(folder / "pointer.tsv"), "SB2102");
  fs::create_symlink("../.git/annex/objects/x/y/KEY/KEY", folder / "link.tsv");
  EXPECT_EQ(code(folder / "link.tsv"), "SB2102");
  fs::create_symlink("nowhere", folder / "dangling.tsv");
  EXPECT_EQ(code(folder / "dangling.tsv"), "SB2101");
  EXPECT_EQ(code(folder), "SB5002");
}

}  // namespace
}  // namespace slim::bids
