// SPDX-License-Identifier: Apache-2.0
// Plugins that the loader must accept or refuse; FAKE_VERSION and FAKE_BUILD_ID say which. Without
// FAKE_VERSION the library has no table at all.
#include "model/device/cuda_api.h"

#ifdef FAKE_VERSION
namespace {

int two_devices(std::string&) { return 2; }

slim::model::DeviceReport report(int device) {
  return {.name = "Fake " + std::to_string(device),
          .major = 9,
          .minor = 0,
          .memory_bytes = 80ULL << 30,
          .free_bytes = 79ULL << 30,
          .driver = 13010,
          .runtime = 13000};
}

uint64_t peak_bytes(int) { return 1ULL << 30; }

}  // namespace

extern "C" const slim::model::CudaApi* slim_cuda_api() {
  static const std::string build_id = FAKE_BUILD_ID;
  static const slim::model::CudaApi api{FAKE_VERSION, build_id.c_str(), two_devices, report, peak_bytes};
  return &api;
}
#else
extern "C" int slim_nothing() { return 0; }
#endif
