// SPDX-License-Identifier: Apache-2.0
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>

#include <stdexcept>

#include "model/device/cuda_api.h"

namespace slim::model {
namespace {

int count(std::string& problem) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess) {
    problem = cudaGetErrorString(error);
    return 0;
  }
  if (devices == 0) {
    problem = "the driver lists no device";
  }
  return devices;
}

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
  }
}

DeviceReport report(int device) {
  DeviceReport out;
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "the device's properties");
  out.name = properties.name;
  out.major = properties.major;
  out.minor = properties.minor;
  int before = 0;
  check(cudaGetDevice(&before), "the current device");
  check(cudaSetDevice(device), "choosing the device");
  size_t free_bytes = 0, total = 0;
  check(cudaMemGetInfo(&free_bytes, &total), "the device's memory");
  check(cudaSetDevice(before), "choosing the device");
  out.memory_bytes = total;
  out.free_bytes = free_bytes;
  check(cudaDriverGetVersion(&out.driver), "the driver's version");
  check(cudaRuntimeGetVersion(&out.runtime), "the runtime's version");
  return out;
}

uint64_t take_peak_bytes(int device) {
  namespace memory = c10::cuda::CUDACachingAllocator;
  const auto index = static_cast<c10::DeviceIndex>(device);
  const int64_t peak = memory::getDeviceStats(index).allocated_bytes[0].peak;  // 0: large and small blocks
  memory::resetPeakStats(index);
  return static_cast<uint64_t>(peak);
}

}  // namespace
}  // namespace slim::model

extern "C" __attribute__((visibility("default"))) const slim::model::CudaApi* slim_cuda_api() {
  static const std::string build_id = slim::model::cuda_build_id();
  static const slim::model::CudaApi api{slim::model::kCudaApiVersion, build_id.c_str(), slim::model::count,
                                        slim::model::report, slim::model::take_peak_bytes};
  return &api;
}
