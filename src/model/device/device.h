// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "model/device/cuda_plugin.h"

namespace slim::model {

/// A settled device and a sentence about how it was chosen (empty when it was named and is there).
struct DeviceChoice {
  std::string name;  // "cpu" or "cuda:N"
  std::string note{};
};

/// Settles `auto`, `cpu`, `cuda` or `cuda:N`. `auto` takes the first CUDA device, else the CPU and says why.
/// Errors: SB1002 another word; SB4003 a named device that cannot be used, with the loader's or driver's
/// sentence.
DeviceChoice resolve_device(const std::string& word, const CudaPlugin& plugin = cuda_plugin());

/// How this process computes on the CPU: torch's threads, and memory that it frees stays with it (Note [Freed
/// memory]). For calls that are about to run a model.
void settle_cpu(int threads);

/// "cuda:0", ... of the devices that can be used.
std::vector<std::string> cuda_devices();

}  // namespace slim::model
