// SPDX-License-Identifier: Apache-2.0
#include "model/device/device.h"

#include <ATen/Parallel.h>
#include <malloc.h>

#include <charconv>
#include <limits>

#include "core/error.h"

namespace slim::model {
namespace {

int count_devices(const CudaPlugin& plugin, std::string& problem) {
  if (plugin.api == nullptr) {
    problem = plugin.problem;
    return 0;
  }
  return plugin.api->count(problem);
}

}  // namespace

std::vector<std::string> cuda_devices() {
  std::string ignored;
  std::vector<std::string> names;
  for (int device = 0; device < count_devices(cuda_plugin(), ignored); ++device) {
    names.push_back("cuda:" + std::to_string(device));
  }
  return names;
}

// Note [Freed memory]. Activations of a clip are tens of megabytes each. malloc gets such blocks from the
// kernel one by one and gives them back when they are freed, so that every pass clears and maps its pages
// anew: 15 % of the time of an attribution map. Told not to, it keeps them for the next pass.
void settle_cpu(int threads) {
  at::set_num_threads(threads);
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

DeviceChoice resolve_device(const std::string& word, const CudaPlugin& plugin) {
  if (word == "cpu") {
    return {"cpu"};
  }
  int index = 0;
  if (word.starts_with("cuda:")) {
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data() + 5, end, index);
    if (error != std::errc() || stop != end || index < 0) {
      index = -1;
    }
  }
  if (index < 0 || (word != "auto" && word != "cuda" && !word.starts_with("cuda:"))) {
    throw Error(message::kBadValue, "--device " + word + " is not valid: use auto, cpu, cuda or cuda:N.");
  }
  std::string problem;
  const int count = count_devices(plugin, problem);
  if (index < count) {
    const std::string name = "cuda:" + std::to_string(index);
    return {name, word == "auto" ? "device: " + name + " (auto)" : ""};
  }
  if (word == "auto") {
    return {"cpu", "device: cpu (auto; CUDA is not usable: " + problem + ")"};
  }
  if (count > 0) {
    problem = "there are " + std::to_string(count) + " CUDA devices, numbered from 0";
  }
  throw Error(message::kNoDevice, "CUDA was asked for and is not usable: " + problem + ".",
              {.remedy = "install a driver of CUDA 13 or newer (inside a container pass --nv or --gpus), or "
                         "use --device cpu"});
}

}  // namespace slim::model
