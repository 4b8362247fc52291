// SPDX-License-Identifier: Apache-2.0
#include "pipelines/lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>

#include "core/atomic_file.h"
#include "core/error.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace slim {
namespace {

fs::path place(const fs::path& out) { return out / ".slimbrain/locks/sub-01"; }

std::string held_by(const fs::path& out, const LockOptions& options = {}) {
  try {
    ParticipantLock::acquire(out, "sub-01", options);
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB5003");
    EXPECT_EQ(error.fault(), Fault::TryAgain);
    return error.sentence();
  }
}

void age(const fs::path& path, std::chrono::seconds by) {
  const timespec then{.tv_sec = ::time(nullptr) - by.count(), .tv_nsec = 0};
  const timespec times[2] = {then, then};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

// A lock as a process on another host would leave it.
void leave_foreign_lock(const fs::path& out) {
  create_folder(place(out));
  write_text(place(out) / "owner", "host elsewhere\nspace other\npid 1\njob 4711\ntoken t\n");
}

int exit_code_of(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(work());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ParticipantLock, KeepsOthersOutAndIsGivenBack) {
  const test::TempFolder folder;
  {
    const ParticipantLock lock = ParticipantLock::acquire(folder.path(), "sub-01", {.job = "77"});
    EXPECT_TRUE(lock.is_held());
    EXPECT_NE(held_by(folder.path()).find("sub-01 is in work by job 77 on node "), std::string::npos);
    EXPECT_NO_THROW(ParticipantLock::acquire(folder.path(), "sub-02"));
  }
  EXPECT_EQ(held_by(folder.path()), "");
  EXPECT_TRUE(fs::is_empty(place(folder.path()).parent_path())) << "nothing is left behind";
}

TEST(ParticipantLock, MovesAndIsGivenBackOnce) {
  const test::TempFolder folder;
  std::optional<ParticipantLock> lock = ParticipantLock::acquire(folder.path(), "sub-01");
  ParticipantLock moved = std::move(*lock);
  lock.reset();
  EXPECT_TRUE(moved.is_held());
  EXPECT_NE(held_by(folder.path()), "");
}

TEST(ParticipantLock, TellsWhoHoldsItAndSinceWhen) {
  const test::TempFolder folder;
  leave_foreign_lock(folder.path());
  age(place(folder.path()) / "owner", 100s);
  const std::string sentence = held_by(folder.path());
  EXPECT_NE(sentence.find("job 4711 on node elsewhere (last sign of life 10"), std::string::npos) << sentence;
}

TEST(ParticipantLock, IsTakenOverWhenNobodyTouchedItForLong) {
  const test::TempFolder folder;
  leave_foreign_lock(folder.path());
  age(place(folder.path()) / "owner", 599s);
  EXPECT_NE(held_by(folder.path()), "");
  age(place(folder.path()) / "owner", 605s);
  EXPECT_EQ(held_by(folder.path()), "");
  EXPECT_TRUE(fs::is_empty(place(folder.path()).parent_path()));
}

TEST(ParticipantLock, IsTakenOverWhenItsProcessIsGone) {
  const test::TempFolder folder;
  EXPECT_EQ(exit_code_of([&] {
              new ParticipantLock(
                  ParticipantLock::acquire(folder.path(), "sub-01"));  // dies without giving it back
              return 0;
            }),
            0);
  EXPECT_TRUE(fs::exists(place(folder.path()) / "owner"));
  EXPECT_EQ(held_by(folder.path()), "");
}

TEST(ParticipantLock, AProcessIdOfAnotherHostOrContainerProvesNothing) {
  const test::TempFolder folder;
  leave_foreign_lock(folder.path());
  std::array<char, 256> host{};
  ASSERT_EQ(::gethostname(host.data(), host.size() - 1), 0);
  write_text(place(folder.path()) / "owner",
             "host " + std::string(host.data()) + "\nspace other\npid 999999999\njob \ntoken t\n");
  EXPECT_NE(held_by(folder.path()), "");
}

TEST(ParticipantLock, ABrokenOwnerFileCountsByItsAge) {
  const test::TempFolder folder;
  for (const char* text : {"", "pid -1\n", "pid 99999999999999999999999\nhost \n", "\xff\n\n\n"}) {
    create_folder(place(folder.path()));
    write_text(place(folder.path()) / "owner", text);
    EXPECT_NE(held_by(folder.path()), "") << text;
    age(place(folder.path()) / "owner", 700s);
    EXPECT_EQ(held_by(folder.path()), "") << text;
  }
  create_folder(place(folder.path()));  // killed before the owner file was there
  EXPECT_NE(held_by(folder.path()), "");
  age(place(folder.path()), 700s);
  EXPECT_EQ(held_by(folder.path()), "");
}

TEST(ParticipantLock, IsJudgedByOneProcessAtATime) {
  const test::TempFolder folder;
  leave_foreign_lock(folder.path());
  age(place(folder.path()) / "owner", 700s);
  const fs::path guard = place(folder.path()).parent_path() / ".sub-01.guard";
  create_folder(guard);
  EXPECT_NE(held_by(folder.path()).find("another process"), std::string::npos);
  EXPECT_TRUE(fs::exists(place(folder.path()) / "owner"));
  age(guard, 700s);                       // its maker died there
  EXPECT_NE(held_by(folder.path()), "");  // this call clears the guard, the next one the lock
  EXPECT_EQ(held_by(folder.path()), "");
  EXPECT_TRUE(fs::is_empty(place(folder.path()).parent_path()));
}

TEST(ParticipantLock, KnowsThatItWasTakenOver) {
  const test::TempFolder folder;
  std::optional<ParticipantLock> lock =
      ParticipantLock::acquire(folder.path(), "sub-01", {.touch_every = 1h});
  age(place(folder.path()) / "owner", 700s);
  const ParticipantLock other = ParticipantLock::acquire(folder.path(), "sub-01");
  EXPECT_FALSE(lock->is_held());
  lock.reset();
  EXPECT_TRUE(other.is_held()) << "the first one does not give back what is no longer its own";
}

TEST(ParticipantLock, IsTouchedWhileHeld) {
  const test::TempFolder folder;
  const ParticipantLock lock = ParticipantLock::acquire(folder.path(), "sub-01", {.touch_every = 2ms});
  const fs::path owner = lock.folder() / "owner";
  age(owner, 10000s);
  const auto old = fs::last_write_time(owner);
  while (fs::last_write_time(owner) == old) {  // ends by the heartbeat, or by the test's time limit
  }
  EXPECT_TRUE(lock.is_held());
}

// Reads one byte; false at the end of the pipe.
bool read_byte(int pipe, char* byte) { return ::read(pipe, byte, 1) == 1; }

TEST(ParticipantLock, OfManyProcessesThatFindAStaleLockExactlyOneWins) {
  const test::TempFolder folder;
  for (int round = 0; round < 20; ++round) {
    leave_foreign_lock(folder.path());
    age(place(folder.path()) / "owner", 700s);
    std::array<int, 2> start{}, results{}, end{};
    ASSERT_EQ(::pipe(start.data()) | ::pipe(results.data()) | ::pipe(end.data()), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) {
      children.push_back(::fork());
      if (children.back() != 0) {
        continue;
      }
      ::close(start[1]);
      ::close(end[1]);
      char byte = 0;
      read_byte(start[0], &byte);  // returns when the parent closes its end: all begin together
      std::optional<ParticipantLock> lock;
      try {
        lock = ParticipantLock::acquire(folder.path(), "sub-01");
      } catch (const Error&) {
      }
      const char result = lock ? 'w' : 'l';
      const bool told = ::write(results[1], &result, 1) == 1;
      read_byte(end[0], &byte);  // the winner holds its lock until everybody has tried
      lock.reset();
      ::_exit(told ? 0 : 1);
    }
    ::close(start[0]);
    ::close(start[1]);
    std::string outcomes;
    for (char byte = 0; outcomes.size() < children.size() && read_byte(results[0], &byte);) {
      outcomes += byte;
    }
    ::close(end[0]);
    ::close(end[1]);
    for (const pid_t child : children) {
      int status = 0;
      ::waitpid(child, &status, 0);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ::close(results[0]);
    ::close(results[1]);
    EXPECT_EQ(std::count(outcomes.begin(), outcomes.end(), 'w'), 1) << outcomes;
    EXPECT_FALSE(fs::exists(place(folder.path())));
  }
}

TEST(ParticipantLock, CountsEveryStepOfManyProcesses) {
  const test::TempFolder folder;
  write_text(folder / "count", "0");
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    children.push_back(::fork());
    if (children.back() == 0) {
      try {
        for (int step = 0; step < 5; ++step) {
          const ParticipantLock lock = ParticipantLock::wait(folder.path(), "dataset");
          const int count = std::stoi(read_text(folder / "count"));
          write_text(folder / "count", std::to_string(count + 1));
        }
        ::_exit(0);
      } catch (const std::exception&) {
        ::_exit(1);
      }
    }
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_EQ(read_text(folder / "count"), "30");
}

TEST(ParticipantLock, SaysWhenItCannotBeMade) {
  const test::TempFolder folder;
  write_text(folder / "file", "x");
  try {
    ParticipantLock::acquire(folder / "file", "sub-01");
    FAIL() << "a lock inside a file";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB5001");
  }
}

}  // namespace
}  // namespace slim
