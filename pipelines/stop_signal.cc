// SPDX-License-Identifier: Apache-2.0
#include "pipelines/stop_signal.h"

#include <unistd.h>

#include <csignal>

#include "core/error.h"

namespace slim::pipelines {
namespace {

// A handler can reach nothing but objects of static storage.
std::atomic<bool> stop_requested{false};
std::atomic<int> caught_signal{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
  if (stop_requested.exchange(true)) {
    _exit(static_cast<int>(Fault::TryAgain));
  }
  caught_signal = number;
}

}  // namespace

const std::atomic<bool>& watch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGTERM, SIGINT, SIGUSR1, SIGXCPU}) {
    sigaction(number, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
  return stop_requested;
}

const char* stop_signal_name() {
  switch (caught_signal.load()) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGXCPU:
      return "SIGXCPU";
    default:
      return nullptr;
  }
}

}  // namespace slim::pipelines
