// SPDX-License-Identifier: Apache-2.0
// What the program says to calls that cannot work, and to questions about itself.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

struct BadCall {
  std::vector<std::string> words;
  int exit_code;
  std::string says;
};

class CommandLine : public ::testing::Test {
 protected:
  TempFolder folder_;
  std::string out_ = folder_ / "out";
};

TEST_F(CommandLine, BadCallsSayWhatIsWrongAndWriteNothing) {
  const std::string in = toy_cohort();
  const std::vector<BadCall> calls{
      {{}, 64, "BIDS_DIR, OUT_DIR and LEVEL are needed"},
      {{in, out_}, 64, "LEVEL"},
      {{in, out_, "everyone"}, 64, "everyone"},
      {{in, out_, "group"}, 66, "run the participant level first"},
      {{in, in, "group"}, 64, "no output of slimbrain"},
      {{in, out_, "group", "--stages", "prep"}, 64, "SB1005"},
      {{in, out_, "participant", "--stages", "aggregate"}, 64, "SB1005"},
      {{in, out_, "participant", "extra"}, 64, "extra"},
      {{in, out_, "participant", "--partcipant-label", "01"}, 64, "--participant-label"},
      {{in, out_, "participant", "\xE2\x80\x93-session-label", "a"}, 64, "U+2013"},
      {{in, out_, "participant", "--stages", "fly"}, 64, "fly"},
      {{in, out_, "participant", "--nprocs", "many"}, 64, "many"},
      {{in, out_, "participant", "--stages", "prep", "--zscore", "weird"}, 64, "run or voxel"},
      {{in, out_, "participant", "--stages", "prep", "--target-tr", "-1"}, 64, "--target-tr"},
      {{in, out_, "participant", "--stages", "prep", "--tr-keep", "0.9:0.7"}, 64, "--tr-keep"},
      {{in, out_, "participant", "--stages", "prep", "--nprocs", "0"}, 64, "--nprocs"},
      {{in, out_, "participant", "--stages", "prep", "--batch-size", "-2"}, 64, "--batch-size"},
      {{in, out_, "participant", "--stages", "prep", "--repetition-time", "0"}, 64, "--repetition-time"},
      {{in, out_, "participant", "--nprocs", "2", "--nprocs", "3"}, 64, "nprocs"},
      {{in, out_, "participant", "--mem", "16000", "--stages", "prep"}, 64, "SB1004"},
      {{in, out_, "participant", "--device", "gpu", "--model", toy_model()}, 64, "auto, cpu, cuda"},
      {{in, out_, "participant", "--output-spaces", "T1w"}, 64, "has no meaning here"},
      {{in, out_, "participant", "--set", "prep.nothing=1"}, 64, "SB1006"},
      {{in, out_, "participant", "--progress", "loud", "--stages", "prep"}, 64, "loud"},
      {{"--participant-label", "01", "02", in, out_, "participant"}, 64, "took the words after it"},
      {{in, in, "participant", "--stages", "prep"}, 64, "SB1007"},
      {{in, in + "/sub-01/x", "participant", "--stages", "prep"}, 64, "SB1007"},
      {{in, out_, "participant"}, 66, "SB4001"},
      {{in, out_, "participant", "--model", "nobody"}, 66, "SB4001"},
      {{in + "-not", out_, "participant", "--stages", "prep"}, 66, "SB2101"},
      {{in, out_, "participant", "--stages", "prep", "--participant-label", "07"}, 66, "SB3001"},
      {{in, out_, "participant", "--stages", "prep", "--task-label", "sleep"}, 66, "SB3002"},
      {{in, out_, "participant", "--stages", "prep", "--input-type", "raw"}, 66, "SB2103"},
  };
  for (const BadCall& call : calls) {
    const ProgramResult result = slimbrain(call.words);
    std::string line;
    for (const std::string& word : call.words) line += " " + word;
    EXPECT_EQ(result.exit_code, call.exit_code) << line << "\n" << result.err;
    EXPECT_NE(result.err.find(call.says), std::string::npos) << line << "\n" << result.err;
    EXPECT_FALSE(fs::exists(out_)) << line;
  }
}

TEST_F(CommandLine, HyphensAndUnderscoresAreTheSame) {
  const ProgramResult result = slimbrain(
      {toy_cohort(), out_, "participant", "--participant_label=sub-01", "--stages", "prep", "--dry_run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("sub-01"), std::string::npos);
  EXPECT_EQ(result.out.find("run: sub-02"), std::string::npos);
}

TEST_F(CommandLine, FlagFormOfTheExecutionSpecificationWorks) {
  const ProgramResult result =
      slimbrain({"--input-dataset", toy_cohort(), "--output-location", out_, "--analysis-level",
                 "participant", "--stages", "prep", "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(CommandLine, LabelsFromAFileAndFlagsOfOtherAppsAreAccepted) {
  std::ofstream(folder_ / "labels.txt") << "sub-02\r\n\n";
  const ProgramResult result =
      slimbrain({toy_cohort(), out_, "participant", "--stages", "prep", "--dry-run", "--notrack",
                 "--skip-bids-validation", "-w", "scratch", "--participant-label",
                 "@" + (folder_ / "labels.txt").string(), "-v"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out.find("run: sub-01"), std::string::npos);
  EXPECT_NE(result.err.find("has no effect"), std::string::npos);
}

TEST_F(CommandLine, DryRunWritesNothing) {
  const ProgramResult result =
      slimbrain({toy_cohort(), out_, "participant", "--stages", "prep", "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("why:"), std::string::npos);
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(CommandLine, PrintConfigShowsOrigins) {
  const ProgramResult result =
      slimbrain({toy_cohort(), out_, "participant", "--print-config", "--target-tr", "0.8"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("prep.time_grid.target_tr = 0.8  (flag)"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("(default)"), std::string::npos);
}

TEST_F(CommandLine, VersionHelpAndDoctorAnswer) {
  EXPECT_EQ(slimbrain({"--version"}).out.substr(0, 10), "slimbrain ");
  const ProgramResult help = slimbrain({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* group :
       {"Inputs", "Selection", "Resources", "Preparation", "Embedding", "Run control", "Reporting"}) {
    EXPECT_NE(help.out.find(group), std::string::npos) << group;
  }
  EXPECT_NE(slimbrain({"--help", "target-tr"}).out.find("sampling interval"), std::string::npos);
  const ProgramResult doctor = slimbrain({"--doctor"});
  EXPECT_EQ(doctor.exit_code, 0) << doctor.err;
  for (const char* word : {"threads", "memory", "CUDA", "template", "self-test"}) {
    EXPECT_NE(doctor.out.find(word), std::string::npos) << word << "\n" << doctor.out;
  }
}

TEST(Documents, CommandLinePageIsCurrent) {
  std::ifstream file(fs::path(SLIM_SOURCE_DIR) / "docs/cli.md");
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(page.find(slimbrain({"--help"}).out), std::string::npos)
      << "docs/cli.md is stale: put the output of slimbrain --help between its fences";
}

}  // namespace
}  // namespace slim::test
