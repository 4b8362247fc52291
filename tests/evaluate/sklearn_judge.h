// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/run_program.h"

namespace slim::test {

/// scikit-learn's answers to a list of questions (judge_sklearn.py), in the same order; fails the test when
/// it cannot give them.
inline nlohmann::json ask_sklearn(const nlohmann::json& questions) {
  const TempFolder folder;
  std::ofstream(folder / "questions.json") << questions;
  const ProgramResult result = run_program(
      *judges_python(), {SLIM_SOURCE_DIR "/tests/evaluate/judge_sklearn.py",
                         (folder / "questions.json").string(), (folder / "answers.json").string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::ifstream answers(folder / "answers.json");
  return result.exit_code == 0 ? nlohmann::json::parse(answers) : nlohmann::json::array();
}

}  // namespace slim::test
