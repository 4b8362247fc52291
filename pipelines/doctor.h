// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/config.h"

namespace slim::pipelines {

/// Checks this machine and prints what it finds to standard output (as JSON with --log-format json):
/// instruction set, threads, memory, CUDA plugin and devices, templates, models, and a one-clip self-test of
/// the tiny encoder on every device. Returns 0, or 69 when a device that was named (--device) fails.
int run_doctor(const Config& config);

}  // namespace slim::pipelines
