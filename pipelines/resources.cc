// SPDX-License-Identifier: Apache-2.0
#include "pipelines/resources.h"

#include <sched.h>
#include <sys/resource.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "core/error.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

std::optional<int64_t> number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

std::optional<std::string> first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? std::optional(line) : std::nullopt;
}

std::optional<int64_t> environment(const char* name) {
  const char* text = std::getenv(name);
  return text ? number(text) : std::nullopt;
}

void lower(Limit& limit, std::optional<int64_t> value, const char* source) {
  if (value && *value > 0 && *value < limit.value) {
    limit = {*value, source};
  }
}

/// The process's folder in a cgroup hierarchy: v2 has an empty controller list.
std::optional<std::string> cgroup_of(const fs::path& root, std::string_view controller) {
  std::ifstream file(root / "proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controller.empty() ? controllers == ",,"
                           : controllers.find("," + std::string(controller) + ",") != std::string::npos) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

/// Calls visit on the cgroup's folder and all folders above it. Inside a container the path may not exist:
/// then only the mount's root is seen, which is the container's own group.
template <class Visit>
void walk_up(const fs::path& mount, const std::string& group, Visit&& visit) {
  fs::path relative = fs::path(group).relative_path();
  while (true) {
    visit(mount / relative);
    if (relative.empty()) {
      return;
    }
    relative = relative.parent_path();
  }
}

}  // namespace

Limit detect_threads(const fs::path& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  Limit limit{1, "affinity mask"};
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    limit.value = CPU_COUNT(&set);
  }
  if (const auto group = cgroup_of(root, "")) {
    walk_up(root / "sys/fs/cgroup", *group, [&](const fs::path& folder) {
      const auto line = first_line(folder / "cpu.max");  // "quota period" or "max period"
      if (line) {
        const auto quota = number(*line);
        const size_t space = line->find(' ');
        const auto period =
            space == std::string::npos ? std::nullopt : number(std::string_view(*line).substr(space + 1));
        if (quota && period && *period > 0) {
          lower(limit, (*quota + *period - 1) / *period, "cgroup cpu.max");
        }
      }
    });
  }
  if (const auto group = cgroup_of(root, "cpu")) {
    walk_up(root / "sys/fs/cgroup/cpu", *group, [&](const fs::path& folder) {
      const auto quota = first_line(folder / "cpu.cfs_quota_us");
      const auto period = first_line(folder / "cpu.cfs_period_us");
      const auto q = quota ? number(*quota) : std::nullopt;
      const auto p = period ? number(*period) : std::nullopt;
      if (q && p && *q > 0 && *p > 0) {
        lower(limit, (*q + *p - 1) / *p, "cgroup cpu.cfs_quota_us");
      }
    });
  }
  lower(limit, environment("SLURM_CPUS_PER_TASK"), "SLURM_CPUS_PER_TASK");
  return limit;
}

Limit detect_memory(const fs::path& root) {
  Limit limit{std::numeric_limits<int64_t>::max(), "no limit found"};
  std::ifstream info(root / "proc/meminfo");
  std::string line;
  while (std::getline(info, line)) {
    std::istringstream words(line);
    words.imbue(std::locale::classic());
    std::string name;
    int64_t kilobytes = 0;
    if (words >> name >> kilobytes && name == "MemAvailable:") {
      lower(limit, kilobytes * 1024 / 10 * 9, "0.9 x available memory");
    }
  }
  const auto apply = [&](const char* controller, const fs::path& mount, const char* file,
                         const char* source) {
    if (const auto group = cgroup_of(root, controller)) {
      walk_up(root / mount, *group, [&](const fs::path& folder) {
        const auto text = first_line(folder / file);
        lower(limit, text ? number(*text) : std::nullopt, source);
      });
    }
  };
  apply("", "sys/fs/cgroup", "memory.max", "cgroup memory.max");
  apply("memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "cgroup memory.limit_in_bytes");
  constexpr int64_t kMega = int64_t{1} << 20;
  if (const auto node = environment("SLURM_MEM_PER_NODE")) {
    lower(limit, *node * kMega, "SLURM_MEM_PER_NODE");
  }
  if (const auto cpu = environment("SLURM_MEM_PER_CPU")) {
    lower(limit, *cpu * kMega * environment("SLURM_CPUS_PER_TASK").value_or(1), "SLURM_MEM_PER_CPU");
  }
  return limit;
}

int64_t parse_size(const std::string& text, const std::string& flag) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string unit(end, text.data() + text.size());
  if (error != std::errc() || !(value > 0) || value > 1e9) {
    throw Error(message::kBadValue,
                flag + " " + text + " is not valid: write a size such as 1.5G, 16GB or 12GiB.");
  }
  if (unit.empty()) {
    throw Error(message::kMissingUnit, flag + " " + text + " has no unit: write " + flag + " " + text +
                                           "MB or " + flag + " " + text + "GB.");
  }
  for (const char* tail : {"iB", "B"}) {
    if (unit.size() > 1 && unit.ends_with(tail)) {
      unit.resize(unit.size() - std::string_view(tail).size());
      break;
    }
  }
  const size_t power = std::string("KMGT").find(unit);
  if (unit.size() != 1 || power == std::string::npos) {
    throw Error(message::kBadValue,
                flag + " " + text + " is not valid: the units are K, M, G and T (B and iB may follow).");
  }
  return static_cast<int64_t>(value * static_cast<double>(int64_t{1} << (10 * (power + 1))));
}

int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

std::string format_bytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

}  // namespace slim::pipelines
