// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace slim {

struct LockOptions {
  std::chrono::milliseconds touch_every{30'000};
  std::chrono::milliseconds stale_after{600'000};
  std::string job{};  // shown to others; empty = the scheduler's job id from the environment, if any
};

/// The right to write one participant (or "group", or "dataset") of an OUT_DIR, among any processes on any
/// hosts that see the folder. Note [Locks] in lock.cc. Given back when the object goes.
class ParticipantLock {
 public:
  /// Takes OUT_DIR/.slimbrain/locks/<name>. Error SB5003 when another process holds it, SB5001 when it cannot
  /// be made.
  static ParticipantLock acquire(const std::filesystem::path& out_dir, std::string_view name,
                                 const LockOptions& options = {});
  /// The same, but waits for the holder at most this long before SB5003; for short work on shared files.
  static ParticipantLock wait(const std::filesystem::path& out_dir, std::string_view name,
                              std::chrono::milliseconds patience = std::chrono::minutes(2),
                              const LockOptions& options = {});

  ParticipantLock(ParticipantLock&&) noexcept;
  ParticipantLock& operator=(ParticipantLock&&) noexcept;
  ~ParticipantLock();

  /// False when the lock was taken over, which happens to a process that was stopped for longer than
  /// stale_after.
  bool is_held() const;
  const std::filesystem::path& folder() const;

 private:
  struct State;
  explicit ParticipantLock(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace slim
