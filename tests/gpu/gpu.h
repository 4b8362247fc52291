// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "model/device/device.h"

namespace slim::testing {

/// Tests that need a CUDA device; without one they skip, saying why.
class OnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    // Before torch is used for the first time, and once a process.
    static const model::DeviceChoice choice = [] {
      model::load_cuda_plugin(SLIM_CUDA_PLUGIN);
      return model::resolve_device("auto");
    }();
    if (choice.name == "cpu") {
      GTEST_SKIP() << choice.note;
    }
    gpu = at::Device(choice.name);
  }
  at::Device gpu = at::kCPU;
};

}  // namespace slim::testing
