// SPDX-License-Identifier: Apache-2.0
#include "bids/motion.h"

#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "bids/text_file.h"
#include "bids/tsv.h"

namespace slim::bids {
namespace {

constexpr double kHeadRadiusMm = 50.0;
constexpr double kLargeMm = 0.5;
constexpr std::array<const char*, 6> kParameters{"trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"};

/// A run's motion, volume by volume; empty where not known. Volumes without a value are left out.
struct Traces {
  std::vector<double> fd_mm{}, dvars{};
  std::array<std::vector<double>, 6> parameters{};  // mm, mm, mm, rad, rad, rad
};

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) {
    sum += value;
  }
  return sum / static_cast<double>(values.size());
}

double sd_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return std::sqrt(squares / static_cast<double>(values.size()));
}

std::vector<double> column_of(const Table& table, const std::string& name, int64_t first) {
  std::vector<double> values;
  const std::optional<size_t> column = table.column(name);
  for (auto row = static_cast<size_t>(first); column && row < table.rows.size(); ++row) {
    if (const std::optional<double> value = to_number(table.rows[row][*column]);
        value && std::isfinite(*value)) {
      values.push_back(*value);
    }
  }
  return values;
}

Traces traces_of_confounds(const std::filesystem::path& path, int64_t first) {
  const Table table = read_tsv(path);
  Traces traces{.fd_mm = column_of(table, "framewise_displacement", first),
                .dvars = column_of(table, "std_dvars", first)};
  for (size_t i = 0; i < kParameters.size(); ++i) {
    traces.parameters[i] = column_of(table, kParameters[i], first);
  }
  return traces;
}

/// Rows of blank-separated numbers: mm and degrees, then their derivatives.
Traces traces_of_hcp(const std::filesystem::path& path, int64_t first) {
  const std::string text = read_dataset_text(path);
  Traces traces;
  std::array<double, 6> before{};
  int64_t row = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::vector<double> numbers;
    for (size_t at = start; at < end;) {
      const size_t word = std::min(text.find_first_not_of(" \t\r", at), end);
      at = std::min(text.find_first_of(" \t\r", word), end);
      if (const std::optional<double> value = to_number(std::string_view(text).substr(word, at - word))) {
        numbers.push_back(*value);
      }
    }
    start = end + 1;
    if (numbers.size() < kParameters.size()) {
      continue;
    }
    double moved = 0;
    for (size_t i = 0; i < kParameters.size(); ++i) {
      const double value = i < 3 ? numbers[i] : numbers[i] * std::numbers::pi / 180.0;
      moved += std::abs(value - before[i]) * (i < 3 ? 1.0 : kHeadRadiusMm);
      before[i] = value;
      if (row >= first) {
        traces.parameters[i].push_back(value);
      }
    }
    if (row > 0 && row >= first) {
      traces.fd_mm.push_back(moved);
    }
    ++row;
  }
  return traces;
}

}  // namespace

std::map<std::string, double> motion_numbers(const BoldRun& run) {
  const Traces traces = run.confounds             ? traces_of_confounds(*run.confounds, run.dummy_volumes)
                        : run.movement_regressors ? traces_of_hcp(*run.movement_regressors, run.dummy_volumes)
                                                  : Traces();
  std::map<std::string, double> numbers;
  if (!traces.fd_mm.empty()) {
    double large = 0;
    for (const double fd : traces.fd_mm) {
      large += fd > kLargeMm ? 1 : 0;
    }
    numbers = {{"fd_mean_mm", mean_of(traces.fd_mm)},
               {"fd_sd_mm", sd_of(traces.fd_mm)},
               {"fd_perc", 100.0 * large / static_cast<double>(traces.fd_mm.size())}};
  }
  if (!traces.dvars.empty()) {
    numbers["dvars_std_mean"] = mean_of(traces.dvars);
  }
  for (size_t i = 0; i < kParameters.size(); ++i) {
    if (!traces.parameters[i].empty()) {
      numbers[std::string(kParameters[i]) + (i < 3 ? "_sd_mm" : "_sd_rad")] = sd_of(traces.parameters[i]);
    }
  }
  return numbers;
}

}  // namespace slim::bids
