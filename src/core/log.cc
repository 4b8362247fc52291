// SPDX-License-Identifier: Apache-2.0
#include "core/log.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace slim {
namespace {

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

void Log::open_files(const std::filesystem::path& stem) {
  const std::lock_guard lock(mutex_);
  text_ = std::ofstream(stem.string() + ".log", std::ios::binary);
  events_ = std::ofstream(stem.string() + ".jsonl", std::ios::binary);
  if (!text_ || !events_) {
    throw Error(
        message::kCannotCreate, "The log files cannot be created.",
        {.file = stem.string() + ".log", .remedy = "choose an output folder that this user may write to"});
  }
}

void Log::print(std::string_view kind, std::string_view text, bool on_screen) {
  const std::lock_guard lock(mutex_);
  nlohmann::json line{{"t", utc_now()}, {"event", "message"}, {"level", kind}, {"message", text}};
  const auto replace = nlohmann::json::error_handler_t::replace;
  if (on_screen) {
    if (guard_) {
      guard_(true);
    }
    if (json_) {
      std::fprintf(stderr, "%s\n", line.dump(-1, ' ', false, replace).c_str());
    } else {
      const std::string prefix =
          kind == "info" ? "" : "slimbrain: " + std::string(kind) + (kind == "error" ? " " : ": ");
      std::fprintf(stderr, "%s%.*s\n", prefix.c_str(), static_cast<int>(text.size()), text.data());
    }
    std::fflush(stderr);
    if (guard_) {
      guard_(false);
    }
  }
  if (text_.is_open()) {
    text_ << line["t"].get<std::string>() << ' ' << kind << ' ' << text << std::endl;
    events_ << line.dump(-1, ' ', false, replace) << std::endl;
  }
}

void Log::say(Level level, std::string_view sentence) {
  print("info", sentence, static_cast<int>(level) <= static_cast<int>(level_));
}

void Log::warn(std::string_view sentence) { print("warning", sentence, level_ != Level::Quiet); }

void Log::error(const Error& error) { print("error", error.what(), true); }

void Log::event(std::string_view name, nlohmann::json fields) {
  const std::lock_guard lock(mutex_);
  fields["t"] = utc_now();
  fields["event"] = name;
  const std::string line = fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (json_) {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  if (events_.is_open()) {
    events_ << line << std::endl;
  }
}

}  // namespace slim
