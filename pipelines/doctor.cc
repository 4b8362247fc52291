// SPDX-License-Identifier: Apache-2.0
#include "pipelines/doctor.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/version.h"
#include "model/device/cuda_plugin.h"
#include "model/device/device.h"
#include "model/hiera_encoder.h"
#include "model/initialise.h"
#include "pipelines/resources.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// One thing that was looked at.
struct Finding {
  std::string topic, text;
};

std::string instruction_set() {
  if (__builtin_cpu_supports("avx512f")) return "AVX-512";
  if (__builtin_cpu_supports("avx2")) return "AVX2";
  return "SSE2 (no AVX2: expect slow preprocessing and model)";
}

std::string processor() {
  std::string text = read_text("/proc/cpuinfo");
  const size_t at = text.find("model name");
  if (at == std::string::npos) return "unknown processor";
  const size_t start = text.find(':', at) + 2;
  return text.substr(start, text.find('\n', start) - start);
}

std::string folders_in(const fs::path& root, const std::string& prefix) {
  std::string names;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(root, ignored)) {
    if (entry.path().filename().string().starts_with(prefix)) {
      names += (names.empty() ? "" : ", ") + entry.path().filename().string();
    }
  }
  return names.empty() ? "none in " + root.string() : names + " in " + root.string();
}

std::string found_under(const char* variable, const std::string& prefix) {
  const char* text = std::getenv(variable);
  return text == nullptr ? std::string("none: ") + variable + " is not set" : folders_in(text, prefix);
}

/// A small deterministic clip through the tiny encoder.
at::Tensor tiny_feature(const at::Device& device) {
  const c10::InferenceMode inference;
  model::HieraEncoder encoder(model::encoder_preset("tiny"));
  model::init_parameters(encoder, 1);
  encoder->to(device);
  encoder->eval();
  const model::TokenLayout layout({});
  at::Tensor clip = at::zeros({1, kClipFrames, layout.packed_tokens(), kTokenVoxels});
  auto* values = clip.data_ptr<float>();
  for (int64_t i = 0; i < clip.numel(); ++i) {
    values[i] = static_cast<float>((i * 2654435761u >> 8 & 1023u)) / 512.0f - 1.0f;
  }
  return encoder->forward(clip.to(device), layout).pooled.to(at::kCPU);
}

std::string self_test(const std::string& name, at::Tensor& reference) {
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor feature = tiny_feature(at::Device(name));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  char text[160];
  if (!reference.defined()) {
    reference = feature;
    const bool finite = std::isfinite(feature.sum().item<float>());
    std::snprintf(text, sizeof text, "%s: %s, %.1f s, peak memory %s", name.c_str(),
                  finite ? "passed" : "FAILED: not finite", seconds, format_bytes(peak_memory()).c_str());
    return text;
  }
  const float difference =
      (feature - reference).abs().max().item<float>() / reference.abs().max().item<float>();
  std::snprintf(text, sizeof text, "%s: %s (differs from cpu by %.1e), %.1f s", name.c_str(),
                difference < 1e-3f ? "passed" : "FAILED", static_cast<double>(difference), seconds);
  return text;
}

}  // namespace

int run_doctor(const Config& config) {
  std::vector<Finding> findings;
  const auto add = [&](const std::string& topic, const std::string& text) {
    findings.push_back({topic, text});
  };
  const Limit threads = detect_threads(), memory = detect_memory();
  add("version", std::string(kVersion));
  add("processor", processor() + ", " + instruction_set());
  add("threads", std::to_string(threads.value) + " (" + threads.source + ")");
  add("memory", format_bytes(memory.value) + " (" + memory.source + ")");
  add("CUDA plugin", model::cuda_plugin_status());
  add("templates",
      found_under("TEMPLATEFLOW_HOME", "tpl-") + "; the brain mask of MNI152NLin2009aSym is built in");
  add("models", found_under("SLIMBRAIN_MODELS", ""));

  at::set_num_threads(static_cast<int>(config.resources.nprocs.value_or(threads.value)));
  int exit_code = 0;
  at::Tensor reference;
  std::vector<std::string> devices{"cpu"};
  for (const std::string& name : model::cuda_devices()) {
    devices.push_back(name);
  }
  try {
    const std::string asked = model::resolve_device(config.resources.device).name;
    if (std::find(devices.begin(), devices.end(), asked) == devices.end()) {
      devices.push_back(asked);
    }
  } catch (const Error& error) {
    add("device " + config.resources.device, error.what());
    exit_code = static_cast<int>(error.fault());
  }
  for (const std::string& name : devices) {
    try {
      add("self-test", self_test(name, reference));
    } catch (const std::exception& error) {
      add("self-test", name + ": FAILED: " + error.what());
    }
    if (findings.back().text.find("FAILED") != std::string::npos &&
        name.starts_with(config.resources.device)) {
      exit_code = static_cast<int>(Fault::Unavailable);
    }
  }
  if (config.report.log_format == "json") {
    nlohmann::json json = nlohmann::json::array();
    for (const Finding& finding : findings) {
      json.push_back({{"topic", finding.topic}, {"text", finding.text}});
    }
    std::printf("%s\n", json.dump(2).c_str());
  } else {
    for (const Finding& finding : findings) {
      std::printf("%-12s %s\n", finding.topic.c_str(), finding.text.c_str());
    }
  }
  return exit_code;
}

}  // namespace slim::pipelines
