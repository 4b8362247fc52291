// SPDX-License-Identifier: Apache-2.0
#include "tests/support/small_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>

namespace fs = std::filesystem;

namespace slim::test {
namespace {

constexpr int kNoMount = 77;

/// As a user with no rights can: in name spaces of the process's own.
bool mount_disk(const fs::path& folder, size_t bytes) {
  const std::string user = "0 " + std::to_string(getuid()) + " 1",
                    group = "0 " + std::to_string(getgid()) + " 1";
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return false;
  }
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << user;
  std::ofstream("/proc/self/gid_map") << group;
  const std::string options = "size=" + std::to_string(bytes) + ",mode=777";
  return mount("none", folder.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

[[noreturn]] void work_and_exit(const fs::path& folder, size_t bytes, const std::function<void()>& work) {
  if (!mount_disk(folder, bytes)) {
    _exit(kNoMount);
  }
  try {
    work();
  } catch (const std::exception& problem) {
    ADD_FAILURE() << problem.what();
  } catch (...) {
    ADD_FAILURE() << "something was thrown";
  }
  std::fflush(nullptr);
  _exit(::testing::Test::HasFailure() ? 1 : 0);
}

}  // namespace

void on_small_disk(const fs::path& folder, size_t bytes, const std::function<void()>& work) {
  std::fflush(nullptr);  // or the copy says it again
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    work_and_exit(folder, bytes, work);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoMount) {
    GTEST_SKIP() << "this machine lets no user mount a memory file system";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the expectations that broke on the small disk stand above";
}

void fill_up_to(const fs::path& folder, size_t room) {
  const fs::path ballast = folder / "ballast";
  fs::remove(ballast);
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) {
    throw std::runtime_error("no disk at " + folder.string());
  }
  const size_t block = disk.f_frsize, free_blocks = disk.f_bavail;
  const size_t kept = std::min(free_blocks, (room + block - 1) / block);
  const int file = ::open(ballast.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const auto size = static_cast<off_t>((free_blocks - kept) * block);
  const bool filled = file >= 0 && (size == 0 || ::posix_fallocate(file, 0, size) == 0);
  if (file >= 0) {
    ::close(file);
  }
  if (!filled || fs::space(folder).available != kept * block) {
    throw std::runtime_error("cannot fill the disk at " + folder.string());
  }
}

}  // namespace slim::test
