// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/version.h>

#include <cstdint>
#include <string>

#include "core/version.h"

namespace slim::model {

/// What the plugin says of a CUDA device.
struct DeviceReport {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  uint64_t memory_bytes = 0, free_bytes = 0;
  int driver = 0, runtime = 0;  // as CUDA counts: 13000 = 13.0
};

/// Raised with every change of CudaApi.
inline constexpr uint32_t kCudaApiVersion = 2;

/// Must be equal on both sides: libtorch, our version, compiler.
inline std::string cuda_build_id() {
  return std::string("torch ") + TORCH_VERSION + ", slimbrain " + std::string(kVersion) + ", gcc " +
         __VERSION__;
}

// Note [CUDA plugin]. The program links torch_cpu only. Everything CUDA is in libslim_cuda.so, opened by
// dlopen as the first act of main: torch decides about CUDA at the first question and for the life of the
// process. The plugin hands over one table of plain function pointers; nothing depends on static
// initialisers. It links none of our libraries.
struct CudaApi {
  uint32_t version;
  const char* build_id;
  /// Number of devices; 0 with the driver's sentence in `problem` when there is none that works.
  int (*count)(std::string& problem);
  DeviceReport (*report)(int device);
  /// The most bytes that tensors held at once since the last call, or since the first tensor.
  uint64_t (*take_peak_bytes)(int device);
};

/// The plugin's one exported symbol: `extern "C" const CudaApi* slim_cuda_api()`.
using CudaApiEntry = const CudaApi* (*)();
inline constexpr const char* kCudaApiSymbol = "slim_cuda_api";

}  // namespace slim::model
