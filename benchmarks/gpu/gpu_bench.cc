// SPDX-License-Identifier: Apache-2.0
// How fast is the model on this GPU, beside the GPU's own ceilings and the dense form of the same model, and
// how much memory does a clip take? gpu_bench [PHASE...] prints a table; without a CUDA device it says so and
// exits 69. It exits 1 when a limit is not met.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/util/Exception.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>

#include "benchmarks/gpu/measure.h"
#include "clips/clip_store.h"
#include "core/error.h"
#include "model/device/attention_backend.h"
#include "model/device/device.h"
#include "model/flops.h"
#include "model/initialise.h"
#include "model/layout_index.h"
#include "train/clip_feed.h"
#include "train/pretraining.h"

namespace {

using namespace slim;
using namespace slim::benchmarks;
namespace fs = std::filesystem;

constexpr int64_t kBatches[]{1, 8, 16, 32};

/// What all phases share.
struct Bench {
  at::Device device;
  bool passed = true;

  void add(const Row& row) { passed = print_row(row) && passed; }
  at::TensorOptions options(at::ScalarType type) const { return at::TensorOptions(device).dtype(type); }
  double peak_gb() const {
    return static_cast<double>(model::cuda_plugin().api->take_peak_bytes(device.index())) / 1e9;
  }
};

at::Tensor some_clips(const Bench& bench, int64_t clips) {
  return at::randn({clips, kClipFrames, packaged_token_set().size(), kTokenVoxels}, bench.options(at::kHalf));
}

std::string type_name(at::ScalarType type) { return type == at::kFloat ? "fp32" : "bf16"; }

// --- supply
// -------------------------------------------------------------------------------------------------

void supply(Bench& bench) {
  const model::DeviceReport report = model::cuda_plugin().api->report(bench.device.index());
  std::fprintf(stderr, "device: %s\n", model::cuda_plugin_status().c_str());
  bench.add({"supply", report.name, "memory", static_cast<double>(report.memory_bytes) / 1e9, "GB"});
  bench.add({"supply", report.name, "compute", report.major + report.minor / 10.0, "", 8.0});
  bench.add({"supply", report.name, "driver", report.driver / 1000.0, "", 13.0});
  bench.add({"supply", report.name, "runtime", report.runtime / 1000.0, "", 13.0});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const bool masked : {false, true}) {
      std::string names;
      for (const at::SDPBackend backend : model::fused_backends(type, masked)) {
        names += (names.empty() ? "" : ", ") + std::string(model::name_of(backend));
      }
      std::fprintf(stderr, "attention, %s%s: %s\n", type_name(type).c_str(), masked ? ", masked" : "",
                   names.c_str());
    }
  }
}

// --- ceilings
// -----------------------------------------------------------------------------------------------

double product_tflops(const Bench& bench, at::ScalarType type) {
  const int64_t n = 8192;
  const at::Tensor a = at::randn({n, n}, bench.options(type)), b = at::randn({n, n}, bench.options(type));
  const Timing time = time_on_device(bench.device, 2, 50, [&] { at::mm(a, b); });
  return 2.0 * static_cast<double>(n * n * n) / time.median / 1e9;
}

void ceilings(Bench& bench) {
  const int64_t bytes = int64_t{1} << 30;
  const at::Tensor from = at::empty({bytes}, bench.options(at::kByte)), to = at::empty_like(from);
  const Timing copy = time_on_device(bench.device, 2, 50, [&] { to.copy_(from); });
  bench.add(
      {"ceilings", "copy of 1 GiB", "bandwidth", 2e-6 * static_cast<double>(bytes) / copy.median, "GB/s"});
  const at::Tensor host = at::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
  const Timing upload = time_on_device(bench.device, 2, 5, [&] { to.copy_(host, true); });
  bench.add({"ceilings", "copy of 1 GiB from pinned memory", "bandwidth",
             1e-6 * static_cast<double>(bytes) / upload.median, "GB/s"});
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    bench.add({"ceilings", "product of 8192 x 8192, " + type_name(type), "rate", product_tflops(bench, type),
               "TFLOP/s"});
  }
}

// --- attention
// ----------------------------------------------------------------------------------------------

/// TFLOP/s of attention in a shape with one kernel; NaN where it cannot take it.
double attention_rate(const Bench& bench, at::SDPBackend backend, const model::AttentionShape& shape) {
  const auto rows = [&](int64_t n) {
    return at::randn({shape.batch, n, shape.heads, shape.head_size}, bench.options(at::kBFloat16))
        .transpose(1, 2);
  };
  const at::Tensor q = rows(shape.queries), k = rows(shape.keys), v = rows(shape.keys);
  try {
    const model::OnlyBackend only(backend);
    const Timing time =
        time_on_device(bench.device, 1, 20, [&] { at::scaled_dot_product_attention(q, k, v); });
    return 4e-9 *
           static_cast<double>(shape.batch * shape.heads * shape.queries * shape.keys * shape.head_size) /
           time.median;
  } catch (const c10::Error&) {
    return kNone;
  }
}

void attention(Bench& bench) {
  const model::TokenLayout layout({.clips = 16});
  const std::vector<model::Slab> slabs = layout.mask_unit_slabs(0);
  const at::Tensor qkv = at::randn({layout.rows(0), 192}, bench.options(at::kBFloat16));
  const std::vector<at::Tensor> parts = qkv.split(64, 1);
  double flops = 0;
  for (const model::Slab& slab : slabs) {
    flops += 4.0 * static_cast<double>(slab.groups * slab.rows * slab.rows * 64);
  }
  const at::NoGradGuard no_gradient;
  const Timing time = time_on_device(
      bench.device, 2, 20, [&] { model::grouped_attention(parts[0], parts[1], parts[2], slabs, slabs, 1); });
  const double rate = flops / time.median / 1e9;
  bench.add({"attention", "stage 0, 16 clips, bf16", "rate", rate, "TFLOP/s"});
  bench.add({"attention", "stage 0, 16 clips, bf16", "share of the product's rate",
             rate / product_tflops(bench, at::kBFloat16), "", 0.4});
  const std::pair<const char*, model::AttentionShape> shapes[]{
      {"80 x 4096, 1 head", {80, 1, 4096, 4096, 64}},
      {"80 x 760, 1 head", {80, 1, 760, 760, 64}},
      {"80 x 82 of 760, 2 heads", {80, 2, 82, 760, 64}},
      {"16 x 1280, 4 heads", {16, 4, 1280, 1280, 64}}};
  for (const auto& [name, shape] : shapes) {
    for (const at::SDPBackend backend : {at::SDPBackend::flash_attention, at::SDPBackend::cudnn_attention,
                                         at::SDPBackend::efficient_attention, at::SDPBackend::math}) {
      bench.add({"attention", std::string(name) + ", bf16, " + std::string(model::name_of(backend)), "rate",
                 attention_rate(bench, backend, shape), "TFLOP/s"});
    }
  }
}

// --- steps
// --------------------------------------------------------------------------------------------------

/// A step of some kind for a number of clips.
using Step = std::function<void()>;
using StepMaker = std::function<Step(model::Background background, at::ScalarType type, int64_t clips)>;

/// Times a kind of step at every batch, on the tokens of the brain and dense; stops at the first batch that
/// the memory does not hold.
void steps(Bench& bench, const std::string& phase, const StepMaker& make,
           const std::map<int64_t, double>& least_clips_per_s, double most_gb_a_clip) {
  for (const model::Background background : {model::Background::Token, model::Background::None}) {
    const bool is_token = background == model::Background::Token;
    std::map<int64_t, double> peaks;
    for (const int64_t clips : kBatches) {
      const std::string name = std::string(model::name_of(background)) + ", bf16, " + std::to_string(clips) +
                               (clips == 1 ? " clip" : " clips");
      try {
        const Step step = make(background, at::kBFloat16, clips);
        step();
        wait_for(bench.device);
        (void)bench.peak_gb();
        const Timing time = time_on_device(bench.device, 2, 5, step);
        peaks[clips] = bench.peak_gb();
        const auto least = least_clips_per_s.find(clips);
        bench.add({phase, name, "rate", 1e3 * static_cast<double>(clips) / time.median, "clips/s",
                   is_token && least != least_clips_per_s.end() ? least->second : kNone});
        bench.add({phase, name, "quartiles", (time.upper - time.lower) / time.median, "of the median"});
        bench.add({phase, name, "peak memory", peaks[clips], "GB"});
      } catch (const c10::OutOfMemoryError&) {
        bench.add({phase, name, "rate", kNone, "clips/s (memory ran out)"});
        break;
      }
    }
    if (peaks.contains(8) && peaks.contains(16)) {
      bench.add({phase, std::string(model::name_of(background)) + ", bf16", "memory of one more clip",
                 (peaks[16] - peaks[8]) / 8, "GB", kNone, is_token ? most_gb_a_clip : kNone});
    }
  }
}

model::HieraEncoder base_encoder(const Bench& bench, at::ScalarType type) {
  model::HieraEncoder encoder(model::encoder_preset("base"));
  model::init_parameters(encoder, 1);
  encoder->to(bench.device, type);
  return encoder;
}

void embed(Bench& bench) {
  const at::NoGradGuard no_gradient;
  const StepMaker make = [&](model::Background background, at::ScalarType type, int64_t clips) -> Step {
    return [encoder = base_encoder(bench, type), input = some_clips(bench, clips),
            layout = model::TokenLayout({.background = background, .clips = clips})] {
      encoder->forward(input, layout);
    };
  };
  steps(bench, "embed", make, {}, kNone);
  const Step exact = make(model::Background::Token, at::kFloat, 16);
  bench.add({"embed", "token, fp32, 16 clips", "rate",
             16e3 / time_on_device(bench.device, 2, 5, exact).median, "clips/s"});
}

/// Encoder, a linear head, a squared error and AdamW, as fine-tuning does them.
void finetune(Bench& bench) {
  const StepMaker make = [&](model::Background background, at::ScalarType type, int64_t clips) -> Step {
    model::HieraEncoder encoder = base_encoder(bench, type);
    model::Parameters parameters;
    model::add_parameters(parameters, *encoder);
    const at::Tensor head = at::randn({1, encoder->options().width()}, bench.options(at::kFloat));
    parameters["head.projection.weight"] = head.requires_grad_(true);
    const auto optimiser = std::make_shared<train::Optimiser>(parameters, train::OptimiserOptions{});
    return [=, input = some_clips(bench, clips),
            layout = model::TokenLayout({.background = background, .clips = clips})] {
      at::linear(encoder->forward(input, layout).pooled, head).square().sum().backward();
      optimiser->step(static_cast<double>(clips), {.peak = 1e-5, .floor = 1e-6, .steps = 1000000});
    };
  };
  steps(bench, "finetune", make, {}, kNone);
}

train::PretrainingOptions jepa_options(model::Background background) {
  return {.jepa = {.encoder = model::encoder_preset("base"), .background = background},
          .schedule = {.steps = 1000000}};
}

void jepa(Bench& bench) {
  const StepMaker make = [&](model::Background background, at::ScalarType type, int64_t clips) -> Step {
    const auto training = std::make_shared<train::Pretraining>(jepa_options(background), bench.device, type);
    train::PretrainingBatch batch{.clips = some_clips(bench, clips), .positions = {}};
    for (int64_t i = 0; i < clips; ++i) {
      batch.positions.push_back(static_cast<uint64_t>(i));
    }
    // A new epoch each time: other masks, as in a training.
    return [=, epoch = std::make_shared<uint64_t>(0)] {
      training->accumulate(batch, ++*epoch, 0, false);
      training->finish_step();
    };
  };
  steps(bench, "jepa", make, {{16, 250.0}, {32, 250.0}}, 0.8);
}

// --- input
// --------------------------------------------------------------------------------------------------

void write_store(const fs::path& path, int64_t frames) {
  const TokenSet& tokens = packaged_token_set();
  const auto row = static_cast<size_t>(tokens.size() * kTokenVoxels);
  const at::Tensor values = at::randn({frames, static_cast<int64_t>(row)}).to(at::kHalf);
  const auto* const first = static_cast<const uint16_t*>(values.const_data_ptr());
  const std::vector<uint16_t> bold(first, first + values.numel());
  clips::write_clip_store(path, {.n_frames = frames,
                                 .bold = bold,
                                 .valid = std::vector<uint8_t>(row / 8, 0xff),
                                 .metadata = {{"slimbrain_clips", "1"},
                                              {"token_mask_sha256", tokens.mask_sha256},
                                              {"token_order_sha256", tokens.order_sha256},
                                              {"n_frames", std::to_string(frames)},
                                              {"repetition_time_s", "0.72"}}});
}

/// JEPA steps of 16 clips from files whose pages are in memory, and the loader and copies alone.
void input(Bench& bench) {
  constexpr int64_t kRuns = 4, kFrames = 400, kClips = 16, kWarm = 4, kSteps = 40;
  const fs::path folder = fs::temp_directory_path() / ("slim_gpu_bench_" + std::to_string(getpid()));
  fs::create_directories(folder);
  std::vector<fs::path> stores;
  for (int64_t run = 0; run < kRuns; ++run) {
    stores.push_back(folder / ("run-" + std::to_string(run) + ".safetensors"));
    write_store(stores.back(), kFrames);
  }
  const std::vector<train::SampledRun> runs(kRuns, {.n_frames = kFrames, .selected = {}});
  const train::Sampler sampler(runs, {.source = train::ClipSource::Random, .clips_per_step = kClips});
  train::Pretraining training(jepa_options(model::Background::Token), bench.device, at::kBFloat16);
  for (const bool computing : {false, true}) {
    train::ClipFeed feed(train::read_stores(stores), train::training_plan(sampler, 0, 0, UINT64_MAX, kClips),
                         {.threads = 8, .clips_at_once = kClips}, bench.device);
    int64_t clips = 0, waits = 0;
    std::optional<std::chrono::steady_clock::time_point> start;
    for (int64_t step = 0; step < kWarm + kSteps; ++step) {
      const std::optional<train::FedBatch> fed = feed.next();
      if (step == kWarm) {
        start = std::chrono::steady_clock::now();
      }
      if (start) {
        clips += static_cast<int64_t>(fed->plan.samples.size());
        waits += fed->seconds_waited > 1e-3 ? 1 : 0;
      }
      if (computing) {
        train::PretrainingBatch batch{.clips = fed->clips, .positions = {}};
        for (const train::Sample& sample : fed->plan.samples) {
          batch.positions.push_back(sample.position);
        }
        training.accumulate(batch, fed->plan.epoch, static_cast<uint64_t>(fed->plan.step), false);
        feed.fetch_ahead();
        training.finish_step();
      } else {
        feed.fetch_ahead();
      }
    }
    wait_for(bench.device);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - *start).count();
    const std::string name = computing ? "jepa from files, 16 clips" : "loader and copies alone, 8 threads";
    bench.add({"input", name, "rate", static_cast<double>(clips) / seconds, "clips/s"});
    if (computing) {
      bench.add({"input", name, "steps that waited", static_cast<double>(waits) / kSteps, "", kNone, 0.05});
    }
  }
  fs::remove_all(folder);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::pair<std::string, void (*)(Bench&)>> phases{
      {"supply", supply},     {"ceilings", ceilings}, {"attention", attention}, {"embed", embed},
      {"finetune", finetune}, {"jepa", jepa},         {"input", input}};
  const std::vector<std::string> asked(argv + 1, argv + argc);
  for (const std::string& name : asked) {
    if (std::none_of(phases.begin(), phases.end(), [&](const auto& p) { return p.first == name; })) {
      throw Error(message::kUnknownOption,
                  "usage: gpu_bench [supply] [ceilings] [attention] [embed] [finetune] [jepa] [input]");
    }
  }
  model::load_cuda_plugin(SLIM_CUDA_PLUGIN);
  Bench bench{.device = at::Device(model::resolve_device("cuda").name)};
  std::printf("%s\n", table_header().c_str());
  for (const auto& [name, run] : phases) {
    if (asked.empty() || std::find(asked.begin(), asked.end(), name) != asked.end()) {
      run(bench);
    }
  }
  return bench.passed ? 0 : 1;
} catch (const slim::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.fault());
}
