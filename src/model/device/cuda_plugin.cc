// SPDX-License-Identifier: Apache-2.0
#include "model/device/cuda_plugin.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace fs = std::filesystem;

namespace slim::model {
namespace {

// The one global of the program: torch asks once, so there can be only one answer.
CudaPlugin& the_plugin() {
  static CudaPlugin plugin{nullptr, "it was not looked for: this call needs no GPU"};
  return plugin;
}

/// The stages that run no model; one that is not listed may.
constexpr std::array<std::string_view, 3> kStagesWithoutModel{"prep", "index", "aggregate"};

bool may_run_a_model(const std::string& stages) {
  std::string name;
  for (const char c : stages + ",") {
    if (c != ',') {
      name += c;
    } else if (!name.empty()) {
      if (std::find(kStagesWithoutModel.begin(), kStagesWithoutModel.end(), name) ==
          kStagesWithoutModel.end()) {
        return true;
      }
      name.clear();
    }
  }
  return false;
}

bool wants_gpu(const std::vector<std::string>& words) {
  const char* variable = std::getenv("SLIMBRAIN_DEVICE");
  std::string device = variable != nullptr ? variable : "auto", stages;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h" || word == "--version" || word == "-V" || word == "--dry-run" ||
        word == "--dry_run") {
      return false;
    }
    if (word == "--device" && i + 1 < words.size()) {
      device = words[i + 1];
    } else if (word.starts_with("--device=")) {
      device = word.substr(9);
    } else if (word.starts_with("--stages=")) {
      stages += word.substr(9) + ",";
    } else if (word == "--stages") {
      for (size_t k = i + 1; k < words.size() && !words[k].starts_with("-"); ++k) {
        stages += words[k] + ",";
      }
    }
  }
  return device != "cpu" && (stages.empty() || may_run_a_model(stages));
}

}  // namespace

CudaPlugin open_cuda_plugin(const fs::path& file) {
  if (!fs::exists(file)) {
    return {nullptr, "this build has no CUDA plugin (" + file.string() + " is not there)"};
  }
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return {nullptr, dlerror()};
  }
  // NOLINTNEXTLINE: dlsym gives data pointers for functions
  const auto entry = reinterpret_cast<CudaApiEntry>(dlsym(library, kCudaApiSymbol));
  if (entry == nullptr) {
    return {nullptr, file.string() + " is not a plugin of slimbrain: it has no " + kCudaApiSymbol};
  }
  const CudaApi* api = entry();
  if (api->version != kCudaApiVersion) {
    return {nullptr, file.string() + " has interface " + std::to_string(api->version) +
                         ", this program needs " + std::to_string(kCudaApiVersion)};
  }
  if (api->build_id != cuda_build_id()) {
    return {nullptr, file.string() + " was built as \"" + api->build_id + "\", this program as \"" +
                         cuda_build_id() + "\""};
  }
  return {api, ""};
}

void load_cuda_plugin(const fs::path& file) {
  the_plugin() = open_cuda_plugin(file);
  if (the_plugin().api != nullptr) {
    // Weight gradients are sums over millions of rows, which cuBLAS would add up in bfloat16.
    at::globalContext().setAllowBF16ReductionCuBLAS(false);
  }
}

void load_cuda_plugin_if_wanted(const std::vector<std::string>& words) {
  if (wants_gpu(words)) {
    std::error_code ignored;
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    load_cuda_plugin(program.parent_path() / "libslim_cuda.so");
  }
}

const CudaPlugin& cuda_plugin() { return the_plugin(); }

std::string cuda_plugin_status() {
  const CudaPlugin& plugin = cuda_plugin();
  if (plugin.api == nullptr) {
    return "not loaded: " + plugin.problem;
  }
  std::string problem;
  const int count = plugin.api->count(problem);
  if (count == 0) {
    return "loaded, but no device can be used: " + problem;
  }
  std::string text = "loaded";
  for (int device = 0; device < count; ++device) {
    const DeviceReport report = plugin.api->report(device);
    text += "; cuda:" + std::to_string(device) + " " + report.name + ", " +
            std::to_string(report.memory_bytes >> 30) + " GiB (" + std::to_string(report.free_bytes >> 30) +
            " free), compute " + std::to_string(report.major) + "." + std::to_string(report.minor) +
            ", driver " + std::to_string(report.driver / 1000) + "." +
            std::to_string(report.driver % 1000 / 10);
  }
  return text;
}

}  // namespace slim::model
