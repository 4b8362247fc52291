// SPDX-License-Identifier: Apache-2.0
#include "pipelines/resources.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "core/error.h"
#include "tests/support/run_program.h"

namespace slim::pipelines {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

/// A machine with plenty of memory and no limits, in a folder.
void make_machine(const fs::path& root) {
  put(root / "proc/meminfo", "MemTotal: 64000000 kB\nMemAvailable:   40000000 kB\n");
  put(root / "proc/self/cgroup", "0::/job/step\n");
}

class Detect : public ::testing::Test {
 protected:
  Detect() {
    for (const char* name : {"SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"}) {
      unsetenv(name);
    }
    make_machine(folder_.path());
  }
  test::TempFolder folder_;
};

TEST_F(Detect, MemoryIsNineTenthsOfWhatIsAvailableWithoutALimit) {
  const Limit limit = detect_memory(folder_.path());
  EXPECT_EQ(limit.value, 36000000LL * 1024);
  EXPECT_EQ(limit.source, "0.9 x available memory");
}

TEST_F(Detect, TheTightestGroupOnTheWayUpWins) {
  put(folder_ / "sys/fs/cgroup/job/step/memory.max", "max\n");
  put(folder_ / "sys/fs/cgroup/job/memory.max", "2000000000\n");
  const Limit limit = detect_memory(folder_.path());
  EXPECT_EQ(limit.value, 2000000000);
  EXPECT_EQ(limit.source, "cgroup memory.max");
}

TEST_F(Detect, VersionOneGroupsAreRead) {
  put(folder_ / "proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a/b\n");
  put(folder_ / "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3000000000\n");
  put(folder_ / "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
  put(folder_ / "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(detect_memory(folder_.path()).value, 3000000000);
  EXPECT_EQ(detect_threads(folder_.path()).value, 1);
}

TEST_F(Detect, QuotaIsRoundedUp) {
  put(folder_ / "sys/fs/cgroup/job/cpu.max", "50000 100000\n");
  const Limit limit = detect_threads(folder_.path());
  EXPECT_EQ(limit.value, 1);
}

TEST_F(Detect, SlurmLimitsCountWhenTheyAreTighter) {
  setenv("SLURM_MEM_PER_CPU", "100", 1);
  setenv("SLURM_CPUS_PER_TASK", "4", 1);
  EXPECT_EQ(detect_memory(folder_.path()).value, 400LL << 20);
  setenv("SLURM_MEM_PER_NODE", "0", 1);  // 0 = no limit
  EXPECT_EQ(detect_memory(folder_.path()).source, "SLURM_MEM_PER_CPU");
  unsetenv("SLURM_MEM_PER_CPU");
  unsetenv("SLURM_MEM_PER_NODE");
  unsetenv("SLURM_CPUS_PER_TASK");
}

TEST(ParseSize, UnitsAreBinaryAndNeeded) {
  EXPECT_EQ(parse_size("16GB", "--mem"), 16LL << 30);
  EXPECT_EQ(parse_size("12GiB", "--mem"), 12LL << 30);
  EXPECT_EQ(parse_size("1.5G", "--mem"), 3LL << 29);
  EXPECT_EQ(parse_size("500M", "--mem"), 500LL << 20);
  for (const char* bad : {"16000", "", "G", "-1G", "1X", "1GBB", "nanG", "1e30G"}) {
    EXPECT_THROW(parse_size(bad, "--mem"), Error) << bad;
  }
  try {
    parse_size("16000", "--mem");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB1004");
  }
}

}  // namespace
}  // namespace slim::pipelines
