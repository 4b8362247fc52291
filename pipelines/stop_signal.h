// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace slim::pipelines {

/// From now on SIGTERM, SIGINT, SIGUSR1 and SIGXCPU raise the returned flag; the program stops at its next
/// safe point. A second signal ends the process at once with exit code 75.
const std::atomic<bool>& watch_stop_signals();

/// Name of the signal that was caught ("SIGTERM"), or nullptr.
const char* stop_signal_name();

}  // namespace slim::pipelines
