// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace slim {

class Error;

/// How much a person wants to read: errors only, what needs action, decisions, timings.
enum class Level : int { Quiet = -1, Normal = 0, Detail = 1, Trace = 2 };

/// Writes sentences to standard error and, once open_files() was called, to a .log and a .jsonl file.
/// Thread-safe. Passed down as a reference; the library itself never prints.
class Log {
 public:
  Log(Level level, bool json) : level_(level), json_(json) {}

  /// From now on also writes STEM.log (text) and STEM.jsonl (one object a line). Error SB5001 when they
  /// cannot be made.
  void open_files(const std::filesystem::path& stem);

  /// A sentence, shown when `level` is not above the one asked for. The file gets all.
  void say(Level level, std::string_view sentence);
  void warn(std::string_view sentence);
  void error(const Error& error);
  /// An event for programs: keys t and event are added.
  void event(std::string_view name, nlohmann::json fields);

  Level level() const { return level_; }
  bool json() const { return json_; }
  /// Called before and after text is printed, so that a progress line can step aside.
  void set_screen_guard(std::function<void(bool before)> guard) { guard_ = std::move(guard); }

 private:
  void print(std::string_view kind, std::string_view text, bool on_screen);

  Level level_;
  bool json_;
  std::mutex mutex_;
  std::ofstream text_, events_;
  std::function<void(bool)> guard_;
};

}  // namespace slim
