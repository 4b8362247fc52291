// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/gpu/measure.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace slim::benchmarks {
namespace {

std::string text_of(double value) {
  if (std::isnan(value)) {
    return "n/a";
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

c10::Stream computing(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

}  // namespace

std::string table_header() { return "phase\tcase\tmetric\tvalue\tunit\tlow\thigh\tverdict"; }

bool print_row(const Row& row) {
  const bool asked = !std::isnan(row.low) || !std::isnan(row.high);
  const bool fails = asked && !(std::isnan(row.low) || row.value >= row.low);
  const bool exceeds = asked && !(std::isnan(row.high) || row.value <= row.high);
  std::printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.phase.c_str(), row.name.c_str(), row.metric.c_str(),
              text_of(row.value).c_str(), row.unit.c_str(), text_of(row.low).c_str(),
              text_of(row.high).c_str(), !asked ? "-" : (fails || exceeds ? "fail" : "pass"));
  std::fflush(stdout);
  return !fails && !exceeds;
}

void wait_for(at::Device device) {
  c10::Event done(device.type());
  done.record(computing(device));
  done.synchronize();
}

Timing time_on_device(at::Device device, double seconds, int64_t warm_ups,
                      const std::function<void()>& work) {
  auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < warm_ups && (i == 0 || seconds_since(start) < seconds / 4); ++i) {
    work();
    wait_for(device);
  }
  std::vector<double> milliseconds;
  start = std::chrono::steady_clock::now();
  while (milliseconds.size() < 200 && (milliseconds.size() < 3 || seconds_since(start) < seconds)) {
    c10::Event before(device.type(), c10::EventFlag::BACKEND_DEFAULT),
        after(device.type(), c10::EventFlag::BACKEND_DEFAULT);
    before.record(computing(device));
    work();
    after.record(computing(device));
    after.synchronize();
    milliseconds.push_back(before.elapsedTime(after));
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const size_t n = milliseconds.size();
  return {.median = milliseconds[n / 2],
          .lower = milliseconds[n / 4],
          .upper = milliseconds[3 * n / 4],
          .calls = static_cast<int64_t>(n)};
}

}  // namespace slim::benchmarks
