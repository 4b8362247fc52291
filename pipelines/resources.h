// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace slim::pipelines {

/// A limit found on this machine, and where it came from ("affinity mask", "cgroup cpu.max",
/// "SLURM_CPUS_PER_TASK").
struct Limit {
  int64_t value = 0;
  std::string source;
};

/// Usable threads: the smallest of SLURM_CPUS_PER_TASK, the cgroup quota (rounded up) and the affinity mask.
/// `root` is prefixed to /proc and /sys (for tests).
Limit detect_threads(const std::filesystem::path& root = "/");

/// Usable memory, bytes: the smallest of SLURM_MEM_PER_NODE, SLURM_MEM_PER_CPU x CPUs, the tightest
/// memory.max on the way to the cgroup root (v1: limit_in_bytes) and 0.9 x MemAvailable.
Limit detect_memory(const std::filesystem::path& root = "/");

/// Parses "1.5G", "16GB", "12GiB" (all binary units). Error SB1004 for a bare number, SB1002 for anything
/// else.
int64_t parse_size(const std::string& text, const std::string& flag);

/// Largest resident size of this process so far, bytes.
int64_t peak_memory();

/// "4.2 GB"
std::string format_bytes(int64_t bytes);

}  // namespace slim::pipelines
