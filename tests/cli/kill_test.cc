// SPDX-License-Identifier: Apache-2.0
// kill -9 and polite signals at random moments: nothing half-written carries a final name, and the same call
// continues.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <random>

#include "clips/clip_store.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kVolatile{"logs/", ".slimbrain/"};

std::map<std::string, std::string> finished_files(const fs::path& out) {
  auto files = tree_hashes(out, kVolatile);
  std::erase_if(files, [](const auto& item) { return item.first.find(".partial-") != std::string::npos; });
  return files;
}

class Killed : public ::testing::Test {
 protected:
  std::vector<std::string> call(const fs::path& out) const {
    return {small_cohort(), out, "participant",    "--model", toy_model(),
            "--nprocs",     "2", "--runs-at-once", "2"};
  }
  /// An undisturbed run: its files, and how long it took.
  void undisturbed() {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(slimbrain(call(folder_ / "calm")).exit_code, 0);
    duration_ =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
    calm_ = tree_hashes(folder_ / "calm", kVolatile);
  }
  TempFolder folder_;
  std::map<std::string, std::string> calm_;
  std::chrono::milliseconds duration_{};
};

TEST_F(Killed, AtAnyMomentNothingIsHalfWrittenAndTheSameCallEndsInTheSameBytes) {
  undisturbed();
  std::mt19937 random(20260102);
  constexpr int kKills = 30, kMostMoments = 90;
  int kills = 0;
  for (int moment = 0; kills < kKills; ++moment) {
    ASSERT_LT(moment, kMostMoments) << "only " << kills << " strikes hit a living program";
    const fs::path out = folder_ / ("out" + std::to_string(moment));
    // Twice in the same folder: the second kill meets the leftovers of the first.
    for (int strike = 0; strike < 2; ++strike) {
      const auto start = std::chrono::steady_clock::now();
      const auto delay = std::chrono::milliseconds(random() % static_cast<unsigned>(duration_.count()));
      if (slimbrain(call(out), {.signal_after = delay, .signal = SIGKILL}).exit_code == 128 + SIGKILL) {
        ++kills;
      } else {  // it was faster than that; the machine's load changes
        const auto taken = std::chrono::steady_clock::now() - start;
        duration_ = std::max(
            duration_ / 2, std::min(duration_, std::chrono::duration_cast<std::chrono::milliseconds>(taken)));
      }
      if (!fs::exists(out)) {
        continue;
      }
      for (const auto& [path, hash] : finished_files(out)) {
        EXPECT_EQ(calm_.count(path), 1u) << "moment " << moment << " left " << path;
        if (path.starts_with("sub-")) {
          EXPECT_EQ(hash, calm_[path])
              << "moment " << moment << ": " << path << " is not what a calm run writes";
        }
      }
    }
    const ProgramResult again = slimbrain(call(out));
    ASSERT_EQ(again.exit_code, 0) << "moment " << moment << "\n" << again.err;
    EXPECT_EQ(tree_hashes(out, kVolatile), calm_) << "moment " << moment;
    fs::remove_all(out);
  }
}

TEST_F(Killed, APoliteSignalEndsWithSeventyFiveAndTheSameCallContinues) {
  undisturbed();
  std::mt19937 random(7);
  int stopped = 0;
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGTERM, SIGXCPU, SIGTERM}) {
    const fs::path out = folder_ / "polite";
    const auto delay = duration_ / 5 +
                       std::chrono::milliseconds(random() % static_cast<unsigned>(duration_.count() / 2 + 1));
    const ProgramResult first = slimbrain(call(out), {.signal_after = delay, .signal = signal});
    // A signal before the handlers stand ends the program the default way.
    EXPECT_TRUE(first.exit_code == 75 || first.exit_code == 0 || first.exit_code == 128 + signal)
        << first.exit_code << first.err;
    if (first.exit_code == 75) {
      ++stopped;
      EXPECT_NE(first.last_line().find("exit 75"), std::string::npos) << first.last_line();
      EXPECT_TRUE(fs::is_empty(out / ".slimbrain/locks")) << "locks are given back";
    }
    ASSERT_EQ(slimbrain(call(out)).exit_code, 0);
    EXPECT_EQ(tree_hashes(out, kVolatile), calm_);
    fs::remove_all(out);
  }
  EXPECT_GT(stopped, 0);
}

}  // namespace
}  // namespace slim::test
