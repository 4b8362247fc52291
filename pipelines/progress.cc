// SPDX-License-Identifier: Apache-2.0
#include "pipelines/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"
#include "core/log.h"

namespace slim::pipelines {
namespace {

std::string bar(double share, size_t width) {
  const auto filled = static_cast<size_t>(share * static_cast<double>(width));
  return "[" + std::string(filled, '#') + std::string(width - filled, '-') + "]";
}

size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

std::string duration(double seconds) {
  char text[32];
  if (seconds < 90) {
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else if (seconds < 5400) {
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  } else {
    std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
  }
  return text;
}

ProgressStyle progress_style(const std::string& word, bool silent) {
  if (word != "auto" && word != "bar" && word != "plain" && word != "none") {
    throw Error(message::kBadValue, "--progress " + word + " is not valid: use auto, bar, plain or none.");
  }
  if (silent || word == "none") {
    return ProgressStyle::None;
  }
  const char* term = std::getenv("TERM");
  const bool can_draw = isatty(STDERR_FILENO) == 1 && term != nullptr && std::string(term) != "dumb";
  return word == "bar" || (word == "auto" && can_draw) ? ProgressStyle::Bar : ProgressStyle::Plain;
}

Progress::Progress(Log& log, ProgressStyle style, std::string stage, int64_t units)
    : log_(log),
      style_(style),
      stage_(std::move(stage)),
      units_(units),
      start_(std::chrono::steady_clock::now()),
      last_line_(start_ - std::chrono::seconds(28)) {
  if (style_ == ProgressStyle::Bar) {
    log_.set_screen_guard([this](bool before) {
      const std::lock_guard lock(mutex_);
      before ? erase() : redraw();
    });
  }
}

Progress::~Progress() {
  log_.set_screen_guard(nullptr);
  const std::lock_guard lock(mutex_);
  erase();
}

void Progress::advance(const std::string& unit, int64_t done, int64_t total) {
  const std::lock_guard lock(mutex_);
  running_[unit] = {done, total};
  if (is_time(ProgressStyle::Bar)) {
    redraw();
  } else if (is_time(ProgressStyle::Plain)) {
    std::fprintf(stderr, "%s %ld/%ld: %s %ld/%ld\n", stage_.c_str(), static_cast<long>(finished_ + 1),
                 static_cast<long>(units_), unit.c_str(), static_cast<long>(done), static_cast<long>(total));
  }
}

void Progress::show(int64_t done, int64_t total, const std::string& status) {
  const std::lock_guard lock(mutex_);
  steps_done_ = done;
  steps_ = total;
  status_ = status;
  if (is_time(ProgressStyle::Bar)) {
    redraw();
  } else if (is_time(ProgressStyle::Plain)) {
    std::fprintf(stderr, "%s %ld/%ld: %s\n", stage_.c_str(), static_cast<long>(done),
                 static_cast<long>(total), status.c_str());
  }
}

bool Progress::is_time(ProgressStyle style) {
  const auto now = std::chrono::steady_clock::now();
  const auto between =
      style == ProgressStyle::Bar ? std::chrono::milliseconds(100) : std::chrono::milliseconds(30000);
  if (style != style_ || now - last_line_ <= between) {
    return false;
  }
  last_line_ = now;
  return true;
}

void Progress::finish_unit(const std::string& unit, const std::string& outcome) {
  {
    const std::lock_guard lock(mutex_);
    running_.erase(unit);
    ++finished_;
  }
  // Printed through the log, outside the lock: its screen guard comes back to redraw().
  const Level level = style_ == ProgressStyle::None ? Level::Detail : Level::Normal;
  log_.say(level, stage_ + " " + std::to_string(finished_) + "/" + std::to_string(units_) + " " + unit +
                      ": " + outcome);
}

void Progress::erase() {
  if (drawn_) {
    std::fprintf(stderr, "\r\033[K");
    drawn_ = false;
  }
}

std::string Progress::units_line() const {
  double share = static_cast<double>(finished_);
  std::string unit;
  for (const auto& [name, counts] : running_) {
    share += counts.second > 0 ? static_cast<double>(counts.first) / static_cast<double>(counts.second) : 0;
    unit = name + " " + std::to_string(counts.first) + "/" + std::to_string(counts.second);
  }
  share = units_ > 0 ? std::clamp(share / static_cast<double>(units_), 0.0, 1.0) : 1.0;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  std::string line =
      stage_ + " " + bar(share, 24) + " " + std::to_string(finished_) + "/" + std::to_string(units_);
  if (share > 0.02) {
    line += ", " + duration(seconds / share * (1 - share)) + " left";
  }
  return line + "  " + unit;
}

std::string Progress::steps_line() const {
  // Short, so that the words fit on a line of 80.
  return stage_ + " " + bar(static_cast<double>(steps_done_) / static_cast<double>(steps_), 10) + " " +
         std::to_string(steps_done_) + "/" + std::to_string(steps_) + "  " + status_;
}

void Progress::redraw() {
  std::string line = steps_ > 0 ? steps_line() : units_line();
  line.resize(std::min(line.size(), terminal_width() - 1));
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace slim::pipelines
