// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace slim::benchmarks {

/// No limit, or no number.
inline constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// A line of the table; without limits the verdict is "-".
struct Row {
  std::string phase, name, metric;
  double value = 0;  // NaN: could not be measured
  std::string unit;
  double low = kNone, high = kNone;
};

/// "phase\tcase\tmetric\tvalue\tunit\tlow\thigh\tverdict".
std::string table_header();
/// Prints the line at once, so that a run that is stopped still tells what it did. Whether it is no failure.
bool print_row(const Row& row);

/// Milliseconds that a device is busy with each of several calls.
struct Timing {
  double median = 0, lower = 0, upper = 0;  // quartiles
  int64_t calls = 0;
};

/// Times calls by events on the device's stream: up to `warm_ups` calls or a quarter of the seconds first,
/// then up to 200 or all of the seconds. The median counts.
Timing time_on_device(at::Device device, double seconds, int64_t warm_ups, const std::function<void()>& work);

/// Waits until a device has done all that was asked of it.
void wait_for(at::Device device);

}  // namespace slim::benchmarks
