// SPDX-License-Identifier: Apache-2.0
#include "core/json_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "core/atomic_file.h"
#include "tests/support/run_program.h"

namespace slim {
namespace {

void expect_refused(const std::string& text, const std::string& part) {
  try {
    parse_json(text, "folder/x.json");
    ADD_FAILURE() << "accepted: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB2019");
    EXPECT_EQ(error.details().file, "folder/x.json");
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(JsonFile, ReadsWhatJsonAllows) {
  const nlohmann::json json = parse_json(R"({"a": [1, 2.5, "x", null, true], "b": {"a": 1}})", "x");
  EXPECT_EQ(json["a"].size(), 5u);
  EXPECT_EQ(json["b"]["a"], 1);
}

TEST(JsonFile, NamesFileAndPlaceOfADefect) {
  expect_refused("{\"a\": 1,\n \"b\" 2}", "line 2");
  expect_refused("", "cannot be read");
  expect_refused("{} x", "cannot be read");
  expect_refused(std::string("{}\0x", 4), "a zero at byte 2");
  expect_refused("// no comments\n{}", "cannot be read");
  expect_refused("{\"a\": NaN}", "cannot be read");
  expect_refused("{\"a\": 1e999}", "cannot be read");
  expect_refused("{\"a\": \"\xff\"}", "cannot be read");
}

TEST(JsonFile, RefusesAKeyThatOccursTwice) {
  expect_refused(R"({"a": 1, "a": 2})", "\"a\" occurs twice");
  expect_refused(R"({"x": [{"a": 1, "b": 2, "a": 2}]})", "\"a\" occurs twice");
  EXPECT_NO_THROW(parse_json(R"([{"a": 1}, {"a": 2}])", "x"));
}

TEST(JsonFile, RefusesDepthThatOnlyAnAttackerNeeds) {
  expect_refused(std::string(65, '[') + std::string(65, ']'), "too deeply");
  expect_refused(std::string(1'000'000, '['), "too deeply");
  EXPECT_NO_THROW(parse_json(std::string(64, '[') + std::string(64, ']'), "x"));
}

TEST(JsonFile, ReadsAFileAndSaysWhichOneIsMissing) {
  const test::TempFolder folder;
  write_text(folder / "a.json", "{\"a\": 1}");
  EXPECT_EQ(read_json(folder / "a.json")["a"], 1);
  try {
    read_json(folder / "b.json");
    FAIL() << "read a file that does not exist";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB2101");
    EXPECT_EQ(error.details().file, folder / "b.json");
  }
}

}  // namespace
}  // namespace slim
