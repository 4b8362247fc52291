// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/run_program.h"

namespace slim::test {

/// The programs of this build.
std::filesystem::path program(const std::string& name);

/// A small cohort (made once a process): 2 participants, one run of 45 frames of 1.5 s each, raw and
/// MNI-space forms.
const std::filesystem::path& toy_cohort();

/// A smaller one for tests that call the program many times: one clip a run, no resampling in time.
const std::filesystem::path& small_cohort();

/// A tiny, initialised model (made once a process).
const std::filesystem::path& toy_model();

/// A cohort of its own and what slimbrain makes of it; shared by the tests of a program through a static one.
struct ToyStudy {
  TempFolder folder;
  std::filesystem::path cohort = folder / "cohort", out = folder / "out";
  /// The words of make_toy_dataset after the cohort, and of slimbrain after `participant`; throws where one
  /// fails.
  ToyStudy(const std::vector<std::string>& toy_words, const std::vector<std::string>& participant_words);
};

/// The words of a call and further ones after them.
std::vector<std::string> joined(std::vector<std::string> words, const std::vector<std::string>& more);

/// slimbrain with these words.
ProgramResult slimbrain(const std::vector<std::string>& words, const ProgramOptions& options = {});

}  // namespace slim::test
