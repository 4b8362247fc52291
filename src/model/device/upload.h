// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace slim::model {

/// A host tensor on a device. A CUDA device copies it from pinned memory in its own time: the host never
/// waits for work that lies before the copy, which a copy from pageable memory would make it do.
inline at::Tensor upload(const at::Tensor& host, at::Device device) {
  return device.is_cuda() ? host.pin_memory().to(at::TensorOptions(device), /*non_blocking=*/true)
                          : host.to(device);
}

}  // namespace slim::model
