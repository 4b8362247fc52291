// SPDX-License-Identifier: Apache-2.0
#include "pipelines/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "core/atomic_file.h"
#include "core/error.h"
#include "tests/support/run_program.h"

namespace slim::pipelines {
namespace {

std::string code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error.code()) + " " + error.sentence();
  }
  return "no error";
}

TEST(Config, EveryKeyIsUniqueSoThatEveryFlagIs) {
  Config config;
  std::set<std::string> keys;
  for (const Field& field : config_fields(config)) {
    EXPECT_TRUE(keys.insert(field.key).second) << field.path;
    EXPECT_FALSE(field.help.empty()) << field.path;
  }
}

TEST(Config, WrittenSettingsReadBackTheSame) {
  Config first;
  first.select.participant_label = {"01", "02"};
  first.resources.nprocs = 3;
  first.prep.time_grid.repetition_time_s = 0.8;
  const nlohmann::json json = fields_to_json(config_fields(first));
  Config second;
  fields_from_json(config_fields(second), json, "test");
  EXPECT_EQ(fields_to_json(config_fields(second)), json);
}

TEST(Config, RecipeSetsWhatItNamesAndSaysWhere) {
  const test::TempFolder folder;
  write_text(folder / "r.json", R"({"slimbrain_config": 1, "prep": {"time_grid": {"target_tr": 0.8}}})");
  Config config;
  Origins origins;
  apply_config_file(config_fields(config), folder / "r.json", origins);
  EXPECT_DOUBLE_EQ(config.prep.time_grid.repetition_time_s, 0.8);
  EXPECT_EQ(origins.at("prep.time_grid.target_tr"), "file " + (folder / "r.json").string());
}

TEST(Config, UnknownKeyNamesItsPathAndTheNearestOne) {
  Config config;
  const std::string text = code_of([&] {
    fields_from_json(config_fields(config),
                     nlohmann::json::parse(R"({"prep": {"time_gird": {"target_tr": 1}}})"), "r.json");
  });
  EXPECT_NE(text.find("SB1006"), std::string::npos) << text;
  EXPECT_NE(text.find("prep.time_gird"), std::string::npos) << text;
  EXPECT_NE(text.find("nearest"), std::string::npos) << text;
}

TEST(Config, WrongTypesAreRefused) {
  Config config;
  for (const char* bad :
       {R"({"prep": {"time_grid": {"target_tr": "fast"}}})", R"({"prep": 3})",
        R"({"select": {"participant_label": "01"}})", R"({"resources": {"nprocs": 1.5}})"}) {
    EXPECT_EQ(code_of([&] {
                fields_from_json(config_fields(config), nlohmann::json::parse(bad), "r");
              }).substr(0, 6),
              "SB1002")
        << bad;
  }
}

TEST(Config, FilesThatAreNoRecipesAreRefused) {
  const test::TempFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {"{", "SB2019"},
      {"[]", "SB1006"},
      {R"({"prep": {}})", "SB1006"},
      {R"({"slimbrain_config": 2})", "SB1002"},
      {R"({"slimbrain_config": 1, "run": {"force": true}})", "SB1006"}};
  for (const auto& [text, code] : cases) {
    write_text(folder / "r.json", text);
    Config config;
    Origins origins;
    EXPECT_EQ(
        code_of([&] { apply_config_file(config_fields(config), folder / "r.json", origins); }).substr(0, 6),
        code)
        << text;
  }
}

TEST(Config, EnvironmentSetsFieldsAndUnknownVariablesWarn) {
  setenv("SLIMBRAIN_TASK_LABEL", "rest,movie", 1);
  setenv("SLIMBRAIN_NPROCZ", "3", 1);
  Config config;
  Origins origins;
  const std::vector<std::string> warnings = apply_environment(config_fields(config), origins);
  unsetenv("SLIMBRAIN_TASK_LABEL");
  unsetenv("SLIMBRAIN_NPROCZ");
  EXPECT_EQ(config.select.task_label, (std::vector<std::string>{"rest", "movie"}));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("SLIMBRAIN_NPROCS"), std::string::npos) << warnings[0];
}

TEST(Config, OnlyScienceFieldsEnterTheHash) {
  Config config;
  const auto hash = [&] { return configuration_hash(science_of(config_fields(config), "prep")); };
  const std::string before = hash();
  config.resources.nprocs = 7;
  EXPECT_EQ(hash(), before);
  config.prep.time_grid.repetition_time_s = 0.8;
  EXPECT_NE(hash(), before);
}

}  // namespace
}  // namespace slim::pipelines
