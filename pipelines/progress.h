// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace slim {
class Log;
}

namespace slim::pipelines {

/// How progress is shown: a redrawn line on a terminal, plain lines otherwise.
enum class ProgressStyle { None, Plain, Bar };
/// auto: Bar on a terminal that is not dumb, else Plain. None when the call is silent (-q, or a log of JSON
/// lines). Error SB1002 for an unknown word.
ProgressStyle progress_style(const std::string& word, bool silent);

/// A time for people: 85 s, 3 min, 2.1 h.
std::string duration(double seconds);

/// Shows how far a stage is: units done of all, and the running unit's own share. Thread-safe.
class Progress {
 public:
  Progress(Log& log, ProgressStyle style, std::string stage, int64_t units = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// A unit is `done` of `total` through (frames, clips).
  void advance(const std::string& unit, int64_t done, int64_t total);
  /// Of a stage that is one long unit: `done` of `total` steps, and how they go ("loss 0.31").
  void show(int64_t done, int64_t total, const std::string& status);
  /// A unit is over; `outcome` is a few words ("done in 3.1 s").
  void finish_unit(const std::string& unit, const std::string& outcome);

 private:
  // These need mutex_.
  bool is_time(ProgressStyle style);  // for a look in this style
  void redraw();
  void erase();
  std::string units_line() const;
  std::string steps_line() const;

  Log& log_;
  ProgressStyle style_;
  std::string stage_;
  int64_t units_, finished_ = 0;
  std::map<std::string, std::pair<int64_t, int64_t>> running_;
  int64_t steps_done_ = 0, steps_ = 0;  // of show()
  std::string status_;
  std::chrono::steady_clock::time_point start_, last_line_;
  std::mutex mutex_;
  bool drawn_ = false;
};

}  // namespace slim::pipelines
