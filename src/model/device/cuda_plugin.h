// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/device/cuda_api.h"

namespace slim::model {

/// A plugin that was opened, or the reason why it was not.
struct CudaPlugin {
  const CudaApi* api = nullptr;
  std::string problem{};  // the loader's sentence, or which versions differ
};

/// Opens a plugin file. Never throws; a plugin of another build is refused with both texts.
CudaPlugin open_cuda_plugin(const std::filesystem::path& file);

/// Opens a plugin file as the process's own and sets torch's numbers for CUDA: long sums of bfloat16 products
/// are kept in float32. Must run before torch is used.
void load_cuda_plugin(const std::filesystem::path& file);

/// The same with libslim_cuda.so beside the program, unless the words of the call (or SLIMBRAIN_DEVICE) show
/// that no stage will use a GPU: --device cpu, --help, --version, --dry-run, stages without a model,
/// slimbrain-model.
void load_cuda_plugin_if_wanted(const std::vector<std::string>& words);

/// The opened plugin (Note [CUDA plugin]); its `problem` says why there is none.
const CudaPlugin& cuda_plugin();

/// One line for people: devices, or why there are none.
std::string cuda_plugin_status();

}  // namespace slim::model
