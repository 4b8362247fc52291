// SPDX-License-Identifier: Apache-2.0
#include "train/training_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double value_of(const LogRow& row, std::string_view name) {
  const auto found =
      std::find_if(row.values.begin(), row.values.end(), [&](const Scalar& v) { return v.first == name; });
  return found == row.values.end() ? kNaN : found->second;
}

std::string cell_of(double value) {
  if (!std::isfinite(value)) {
    return "n/a";
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string header_of(const std::vector<LogColumn>& columns) {
  std::string header = "step\tepoch\tsamples\twall_s";
  for (const LogColumn& column : columns) {
    header += "\t" + column.name;
  }
  return header + "\n";
}

std::string description_of(const std::vector<LogColumn>& columns) {
  nlohmann::ordered_json json;
  std::vector<LogColumn> all{{"step", "Optimiser steps taken."},
                             {"epoch", "Epochs ended."},
                             {"samples", "Clips seen."},
                             {"wall_s", "Time spent training, interruptions left out.", "s"}};
  all.insert(all.end(), columns.begin(), columns.end());
  for (const LogColumn& column : all) {
    json[column.name]["Description"] = column.description;
    if (!column.units.empty()) {
      json[column.name]["Units"] = column.units;
    }
  }
  return json.dump(2) + "\n";
}

std::string line_of(const LogRow& row, const std::vector<LogColumn>& columns) {
  nlohmann::ordered_json line{
      {"step", row.step}, {"epoch", row.epoch}, {"samples", row.samples}, {"wall_s", row.wall_s}};
  for (const LogColumn& column : columns) {
    const double value = value_of(row, column.name);
    if (std::isfinite(value)) {
      line[column.name] = value;
    } else if (std::any_of(row.values.begin(), row.values.end(),
                           [&](const Scalar& v) { return v.first == column.name; })) {
      line[column.name] = nullptr;
    }
  }
  return line.dump() + "\n";
}

struct Kept {
  std::string text;
  double wall_s = 0;
};

struct MetricsLine {
  int64_t step = 0;
  double wall_s = 0;
};

std::optional<MetricsLine> metrics_line(std::string_view text, const fs::path& path) {
  try {
    const nlohmann::json line = parse_json(text, path);
    return MetricsLine{line.at("step").get<int64_t>(), line.at("wall_s").get<double>()};
  } catch (const Error&) {
  } catch (const nlohmann::json::exception&) {
  }
  return std::nullopt;
}

/// The whole lines of metrics.jsonl up to a step; what follows is of a future that did not happen, and a
/// crash of the machine may have left anything there.
Kept kept_metrics(const fs::path& path, int64_t last_step) {
  Kept kept;
  std::error_code ignored;
  const std::string text = fs::exists(path, ignored) ? read_text(path) : std::string();
  std::optional<std::string> broken;
  for (size_t start = 0, end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    const std::string_view line = std::string_view(text).substr(start, end - start);
    const std::optional<MetricsLine> parsed = metrics_line(line, path);
    if (parsed && parsed->step > last_step) {
      break;
    }
    if (parsed && broken) {
      throw Error(message::kBadJson, "A line in the middle of the metrics is broken.",
                  {.file = path.string(), .found = *broken, .remedy = "remove that line"});
    }
    if (!parsed) {
      broken = broken.value_or(std::string(line.substr(0, 80)));
      continue;
    }
    kept.text.append(line).append("\n");
    kept.wall_s = parsed->wall_s;
  }
  return kept;
}

std::string kept_history(const fs::path& path, const std::string& header, int64_t last_step) {
  std::error_code ignored;
  if (last_step == 0 || !fs::exists(path, ignored)) {
    return header;
  }
  const std::string text = read_text(path);
  if (!text.starts_with(header)) {
    throw Error(message::kBadTable, "The history has other columns than this training.",
                {.file = path.string(), .expected = header, .found = text.substr(0, text.find('\n'))});
  }
  std::string kept = header;
  for (size_t start = header.size(), end; (end = text.find('\n', start)) != std::string::npos;
       start = end + 1) {
    int64_t step = 0;
    const auto [stop, problem] = std::from_chars(text.data() + start, text.data() + end, step);
    if (problem != std::errc() || *stop != '\t') {
      throw Error(message::kBadTable, "A row of the history has no step.",
                  {.file = path.string(), .found = text.substr(start, end - start)});
    }
    if (step > last_step) {
      break;
    }
    kept.append(text, start, end + 1 - start);
  }
  return kept;
}

[[noreturn]] void fail(const fs::path& path, const char* what, int number) {
  throw Error(message::kInputOutput, std::string(what) + ": " + std::strerror(number) + ".",
              {.file = path.string()});
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kHistory = "history.tsv";

}  // namespace

const std::vector<LogColumn>& usual_columns() {
  static const std::vector<LogColumn> columns{
      {"lr", "Learning rate of the last step."},
      {"loss", "Training loss, mean over the steps."},
      {"target_std", "Mean over channels of the standard deviation of the target's rows."},
      {"cosine", "Mean cosine between pairs of the target's rows."},
      {"effective_rank", "Exponential of the entropy of the singular values of the target's centred rows."},
      {"input_share", "Share of the target's variance that the place does not explain."},
      {"grad_norm", "Norm of the gradient before it is limited."},
      {"samples_per_s", "Clips per second.", "1/s"},
      {"wait_share", "Share of steps that waited for input."},
      {"gpu_mem_gb", "Most memory in use on the device.", "GB"}};
  return columns;
}

TrainingLog::TrainingLog(const fs::path& folder, std::vector<LogColumn> columns, int64_t last_step)
    : folder_(folder), columns_(std::move(columns)), last_step_(last_step) {
  create_folder(folder_);
  const fs::path metrics = folder_ / kMetrics;
  const Kept kept = last_step > 0 ? kept_metrics(metrics, last_step) : Kept{};
  last_wall_s_ = kept.wall_s;
  history_ = kept_history(folder_ / kHistory, header_of(columns_), last_step);
  write_text_if_different(folder_ / "history.json", description_of(columns_));
  write_history();
  write_text_if_different(metrics, kept.text);
  events_ =
      std::make_unique<EventFile>(folder_ / "events.out.tfevents.slimbrain", last_step > 0 ? last_step : -1);
  metrics_ = ::open(metrics.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (metrics_ < 0) {
    fail(metrics, "The metrics cannot be opened", errno);
  }
}

TrainingLog::~TrainingLog() {
  if (metrics_ >= 0) {
    ::close(metrics_);
  }
}

void TrainingLog::check(const LogRow& row) const {
  for (const Scalar& value : row.values) {
    if (std::none_of(columns_.begin(), columns_.end(),
                     [&](const LogColumn& c) { return c.name == value.first; })) {
      throw Error(message::kBug, "The training log has no column " + value.first + ".");
    }
  }
  if (row.step < last_step_) {
    throw Error(message::kBug, "The training log goes back from step " + std::to_string(last_step_) + " to " +
                                   std::to_string(row.step) + ".");
  }
}

void TrainingLog::add_step(const LogRow& row) {
  check(row);
  if (row.step == last_step_) {
    throw Error(message::kBug, "Step " + std::to_string(row.step) + " is logged twice.");
  }
  const std::string line = line_of(row, columns_);
  for (std::string_view left = line; !left.empty();) {
    const ssize_t count = ::write(metrics_, left.data(), left.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      fail(folder_ / kMetrics, "The metrics cannot be written", errno);
    }
    left.remove_prefix(static_cast<size_t>(count));
  }
  std::vector<Scalar> scalars{{"epoch", static_cast<double>(row.epoch)},
                              {"samples", static_cast<double>(row.samples)}};
  for (const Scalar& value : row.values) {
    if (std::isfinite(value.second)) {
      scalars.push_back(value);
    }
  }
  events_->add(row.step, now_s(), scalars);
  last_step_ = row.step;
  last_wall_s_ = row.wall_s;
}

void TrainingLog::add_epoch(const LogRow& row) {
  check(row);
  std::string line = std::to_string(row.step) + "\t" + std::to_string(row.epoch) + "\t" +
                     std::to_string(row.samples) + "\t" + cell_of(row.wall_s);
  for (const LogColumn& column : columns_) {
    line += "\t" + cell_of(value_of(row, column.name));
  }
  history_ += line + "\n";
  write_history();
  std::vector<Scalar> scalars;
  for (const Scalar& value : row.values) {
    if (value.first.starts_with("val_") && std::isfinite(value.second)) {
      scalars.push_back(value);
    }
  }
  if (!scalars.empty()) {
    events_->add(row.step, now_s(), scalars);
  }
  last_wall_s_ = row.wall_s;
}

void TrainingLog::sync() {
  if (::fsync(metrics_) != 0) {
    fail(folder_ / kMetrics, "The metrics cannot be synchronised", errno);
  }
  events_->sync();
}

void TrainingLog::write_history() const { write_text_if_different(folder_ / kHistory, history_); }

}  // namespace slim::train
