// SPDX-License-Identifier: Apache-2.0
// How long does a JEPA step take and how much memory, beside the time that its counted operations take at
// this machine's own matrix-product rate? Backward passes count 2 times the linear layers and 2.5 times the
// attention of the forward pass.
#include <ATen/Parallel.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "benchmarks/machine_rate.h"
#include "core/error.h"
#include "model/flops.h"
#include "train/pretraining.h"

namespace {

using namespace slim;
using namespace slim::benchmarks;

struct Arguments {
  std::string preset = "tiny";
  int64_t clips = 1, steps = 5;
  bool recompute = false;
};

/// Counted operations of step k of epoch 0, forward and backward.
double step_flops(const train::PretrainingOptions& options, int64_t clips, uint64_t step) {
  const auto locations = model::existing_locations({});
  const int64_t blocks = model::draw_time_blocks(options.regions, options.seed, 0, step);
  model::LayoutOptions context{.clips = clips}, targets{.clips = clips};
  for (int64_t i = 0; i < clips; ++i) {
    const auto regions = model::draw_regions(options.regions, blocks, locations, options.seed, 0,
                                             step * static_cast<uint64_t>(clips) + static_cast<uint64_t>(i));
    context.mask_units.push_back(regions.context);
    targets.mask_units.push_back(regions.all_targets());
  }
  const model::TokenLayout seen(context), hidden(targets);
  const auto forward = [&](const model::TokenLayout& layout) {
    const model::Flops encoder = model::count_encoder_flops(options.jepa.encoder, layout);
    const model::Flops fusion = model::count_fusion_flops(options.jepa.encoder, layout);
    return model::Flops{.attention = encoder.attention, .linear = encoder.linear + fusion.linear};
  };
  const model::Flops online = forward(seen), target = forward(hidden);
  const model::Flops predictor =
      model::count_predictor_flops(options.jepa.predictor, {.context_counts = seen.clip_rows(),
                                                            .query_counts = hidden.clip_rows(),
                                                            .context_cells = {},
                                                            .query_cells = {}});
  return target.total() + 3.0 * (online.linear + predictor.linear) +
         3.5 * (online.attention + predictor.attention);
}

int64_t number(const char* text) {
  int64_t value = 0;
  const auto end = text + std::strlen(text);
  if (std::from_chars(text, end, value).ptr != end || value < 1) {
    throw Error(message::kBadValue, std::string("\"") + text + "\" is not a positive number.");
  }
  return value;
}

Arguments read_arguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--recompute") {
      arguments.recompute = true;
    } else if (name == "--preset" && i + 1 < argc) {
      arguments.preset = argv[++i];
    } else if (name == "--clips" && i + 1 < argc) {
      arguments.clips = number(argv[++i]);
    } else if (name == "--steps" && i + 1 < argc) {
      arguments.steps = number(argv[++i]);
    } else {
      throw Error(message::kUnknownOption,
                  "usage: pretraining_bench [--preset base|tiny] [--clips N] [--steps N] [--recompute]");
    }
  }
  return arguments;
}

}  // namespace

int main(int argc, char** argv) try {
  const Arguments arguments = read_arguments(argc, argv);
  const train::PretrainingOptions options{.jepa = {.encoder = model::encoder_preset(arguments.preset),
                                                   .predictor = model::predictor_preset(arguments.preset),
                                                   .recompute = arguments.recompute},
                                          .schedule = {.steps = arguments.steps + 1}};
  const double rate = product_rate();
  train::Pretraining training(options);
  const at::Tensor clips =
      at::randn({arguments.clips, kClipFrames, packaged_token_set().size(), kTokenVoxels}).to(at::kHalf);
  std::printf("threads %d, preset %s, clips %ld, recompute %s; ratio = seconds / (GFLOP / sgemm rate)\n",
              at::get_num_threads(), arguments.preset.c_str(), static_cast<long>(arguments.clips),
              arguments.recompute ? "yes" : "no");
  std::printf("%5s %9s %9s %9s %12s %8s %8s\n", "step", "GFLOP", "seconds", "GFLOP/s", "sgemm GF/s", "ratio",
              "peak GB");
  for (int64_t step = 0; step <= arguments.steps; ++step) {
    train::PretrainingBatch batch{.clips = clips, .positions = {}};
    for (int64_t i = 0; i < arguments.clips; ++i) {
      batch.positions.push_back(static_cast<uint64_t>(step * arguments.clips + i));
    }
    const double seconds = seconds_of([&] {
      training.accumulate(batch, 0, static_cast<uint64_t>(step), false);
      training.finish_step();
    });
    const double gflop = step_flops(options, arguments.clips, static_cast<uint64_t>(step)) / 1e9;
    std::printf("%5ld %9.1f %9.3f %9.1f %12.1f %8.3f %8.2f\n", static_cast<long>(step), gflop, seconds,
                gflop / seconds, rate, seconds * rate / gflop, peak_gb());
  }
} catch (const slim::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.fault());
}
