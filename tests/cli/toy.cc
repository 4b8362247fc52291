// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/toy.h"

#include <stdexcept>

namespace fs = std::filesystem;

namespace slim::test {
namespace {

void must_succeed(const ProgramResult& result, const std::string& what) {
  if (result.exit_code != 0) {
    throw std::runtime_error(what + " failed:\n" + result.out + result.err);
  }
}

fs::path make_cohort(const fs::path& path, const std::vector<std::string>& words) {
  must_succeed(run_program(program("make_toy_dataset"), joined({path.string()}, words)), "make_toy_dataset");
  return path;
}

}  // namespace

fs::path program(const std::string& name) { return fs::path(SLIM_BINARY_DIR) / "bin" / name; }

const fs::path& toy_cohort() {
  static const TempFolder folder;
  static const fs::path path =
      make_cohort(folder / "cohort", {"--subjects", "2", "--frames", "45", "--tr", "1.5"});
  return path;
}

const fs::path& small_cohort() {
  static const TempFolder folder;
  static const fs::path path =
      make_cohort(folder / "cohort", {"--subjects", "2", "--frames", "40", "--tr", "0.72", "--form", "mni"});
  return path;
}

const fs::path& toy_model() {
  static const TempFolder folder;
  static const fs::path path = [] {
    const fs::path model = folder / "model-tiny";
    must_succeed(
        run_program(program("slimbrain-model"), {"init", model.string(), "--preset", "tiny", "--seed", "1"}),
        "slimbrain-model init");
    return model;
  }();
  return path;
}

ToyStudy::ToyStudy(const std::vector<std::string>& toy_words,
                   const std::vector<std::string>& participant_words) {
  make_cohort(cohort, toy_words);
  must_succeed(slimbrain(joined({cohort, out, "participant"}, participant_words)), "slimbrain");
}

std::vector<std::string> joined(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

ProgramResult slimbrain(const std::vector<std::string>& words, const ProgramOptions& options) {
  return run_program(program("slimbrain"), words, options);
}

}  // namespace slim::test
