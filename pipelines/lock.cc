// SPDX-License-Identifier: Apache-2.0
#include "pipelines/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "core/atomic_file.h"
#include "core/error.h"

namespace fs = std::filesystem;

namespace slim {
namespace {

// Note [Locks]. A lock is a folder, because mkdir is atomic on every file system that clusters use and flock
// is not. Its owner file says who holds it and is touched while the holder lives. A lock is stale when nobody
// touched it for stale_after, or when its owner ran in this very process-id space and is gone. It is taken
// over by renaming it away, under a second folder (the guard) in which the judgement is made: without it, two
// processes that saw the same dead owner could rename away each other's fresh lock. Ages are differences
// between times that the file system itself gave, so clocks of nodes need not agree.

using std::chrono::milliseconds;

struct Owner {
  std::string host, space, pid, job, token;
};

std::string text_of(const Owner& owner) {
  return "host " + owner.host + "\nspace " + owner.space + "\npid " + owner.pid + "\njob " + owner.job +
         "\ntoken " + owner.token + "\n";
}

Owner parse_owner(const std::string& text) {
  Owner owner;
  const std::array<std::pair<const char*, std::string*>, 5> fields{{{"host ", &owner.host},
                                                                    {"space ", &owner.space},
                                                                    {"pid ", &owner.pid},
                                                                    {"job ", &owner.job},
                                                                    {"token ", &owner.token}}};
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = text.substr(start, end - start);
    for (const auto& [key, value] : fields) {
      if (line.starts_with(key)) {
        *value = line.substr(std::strlen(key));
      }
    }
    start = end + 1;
  }
  return owner;
}

std::string job_from_environment() {
  for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') {
      return value;
    }
  }
  return {};
}

std::string first_line(const char* path) {
  try {
    const std::string text = read_text(path);
    return text.substr(0, text.find('\n'));
  } catch (const Error&) {
    return {};
  }
}

// Process ids mean something only on one boot of one machine and in one namespace: containers often share a
// host's name but not its processes.
std::string process_id_space() {
  std::array<char, 128> link{};
  const ssize_t length = ::readlink("/proc/self/ns/pid", link.data(), link.size() - 1);
  return first_line("/proc/sys/kernel/random/boot_id") + " " +
         std::string(link.data(), static_cast<size_t>(std::max<ssize_t>(length, 0)));
}

Owner this_process(const LockOptions& options) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return {.host = host.data(),
          .space = process_id_space(),
          .pid = std::to_string(::getpid()),
          .job = options.job.empty() ? job_from_environment() : options.job,
          .token = make_uuid()};
}

bool is_gone(const Owner& owner, const Owner& self) {
  long pid = 0;
  const auto [end, error] = std::from_chars(owner.pid.data(), owner.pid.data() + owner.pid.size(), pid);
  if (error != std::errc() || end != owner.pid.data() + owner.pid.size() || pid <= 0 ||
      owner.host != self.host || owner.space != self.space) {
    return false;
  }
  return ::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH;
}

std::optional<milliseconds> time_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  return milliseconds(int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000);
}

bool make_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0777) == 0) {
    return true;
  }
  if (errno != EEXIST) {
    throw Error(message::kCannotCreate, std::string("The lock cannot be made: ") + std::strerror(errno) + ".",
                {.file = folder.string()});
  }
  return false;
}

void discard(const fs::path& folder) {
  const fs::path away = folder.parent_path() / (std::string(kPartialPrefix) + "lock-" + make_uuid());
  std::error_code error;
  fs::rename(folder, away, error);
  if (!error) {
    fs::remove_all(away, error);
  }
}

// Who holds the lock, as words; takes a stale one away. Called after mkdir found it there.
std::string holder_or_clear(const fs::path& folder, const Owner& self, const LockOptions& options) {
  const fs::path guard = folder.parent_path() / ("." + folder.filename().string() + ".guard");
  if (!make_folder(guard)) {
    // Its maker looks at the lock for an instant; one that died there left the guard.
    const auto made = time_of(guard);
    const auto now =
        std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch());
    if (made && now - *made > options.stale_after) {
      ::rmdir(guard.c_str());
    }
    return "another process";
  }
  const fs::path owner_file = folder / "owner";
  const auto now = time_of(guard);
  const auto touched = time_of(owner_file) ? time_of(owner_file) : time_of(folder);
  std::string holder;
  if (touched && now) {
    Owner owner;
    try {
      owner = parse_owner(read_text(owner_file));
    } catch (const Error&) {
      // Not written yet, or just released: only its age counts.
    }
    const milliseconds age = std::max(*now - *touched, milliseconds(0));
    if (age > options.stale_after || is_gone(owner, self)) {
      discard(folder);
    } else {
      holder = (owner.job.empty() ? "process " + (owner.pid.empty() ? "unknown" : owner.pid)
                                  : "job " + owner.job) +
               " on node " + (owner.host.empty() ? "unknown" : owner.host) + " (last sign of life " +
               std::to_string(age.count() / 1000) + " s ago)";
    }
  }
  ::rmdir(guard.c_str());
  return holder;
}

}  // namespace

struct ParticipantLock::State {
  fs::path folder;
  std::string owner_text;
  std::mutex mutex;
  std::condition_variable_any wake;
  std::jthread heartbeat;

  bool is_ours() const {
    try {
      return read_text(folder / "owner") == owner_text;
    } catch (const Error&) {
      return false;
    }
  }

  void beat(std::stop_token stop, milliseconds interval) {
    std::unique_lock hold(mutex);
    while (!wake.wait_for(hold, stop, interval, [&] { return stop.stop_requested(); })) {
      if (is_ours()) {
        ::utimensat(AT_FDCWD, (folder / "owner").c_str(), nullptr, 0);
      }
    }
  }

  ~State() {
    heartbeat.request_stop();
    if (heartbeat.joinable()) {
      heartbeat.join();
    }
    if (is_ours()) {
      discard(folder);
    }
  }
};

ParticipantLock::ParticipantLock(std::unique_ptr<State> state) : state_(std::move(state)) {}
ParticipantLock::ParticipantLock(ParticipantLock&&) noexcept = default;
ParticipantLock& ParticipantLock::operator=(ParticipantLock&&) noexcept = default;
ParticipantLock::~ParticipantLock() = default;

ParticipantLock ParticipantLock::acquire(const fs::path& out_dir, std::string_view name,
                                         const LockOptions& options) {
  const fs::path folder = out_dir / ".slimbrain" / "locks" / name;
  create_folder(folder.parent_path());
  const Owner self = this_process(options);
  if (!make_folder(folder)) {
    std::string holder = holder_or_clear(folder, self, options);
    if (holder.empty() && !make_folder(folder)) {
      holder = "another process";
    }
    if (!holder.empty()) {
      throw Error(message::kLocked, std::string(name) + " is in work by " + holder + ".",
                  {.file = folder.string(), .remedy = "run the same call again when that job has ended"});
    }
  }
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->owner_text = text_of(self);
  try {
    write_text(folder / "owner", state->owner_text);
  } catch (...) {
    discard(folder);
    throw;
  }
  State* const shared = state.get();
  state->heartbeat = std::jthread([shared, interval = options.touch_every](std::stop_token stop) {
    shared->beat(std::move(stop), interval);
  });
  return ParticipantLock(std::move(state));
}

ParticipantLock ParticipantLock::wait(const fs::path& out_dir, std::string_view name, milliseconds patience,
                                      const LockOptions& options) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (milliseconds pause(5);; pause = std::min(2 * pause, milliseconds(500))) {
    try {
      return acquire(out_dir, name, options);
    } catch (const Error& error) {
      if (error.code() != message::kLocked.code || std::chrono::steady_clock::now() + pause > end) {
        throw;
      }
    }
    std::this_thread::sleep_for(pause);
  }
}

bool ParticipantLock::is_held() const { return state_ && state_->is_ours(); }
const fs::path& ParticipantLock::folder() const { return state_->folder; }

}  // namespace slim
