// SPDX-License-Identifier: Apache-2.0
// How long does a forward pass of the encoder take, beside the time that its counted operations take at this
// machine's own matrix-product rate?
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "benchmarks/machine_rate.h"
#include "core/error.h"
#include "model/flops.h"
#include "model/initialise.h"

namespace {

using namespace slim::benchmarks;
using namespace slim::model;

struct Arguments {
  std::string preset = "base";
  std::vector<std::string> modes{"token"};
  int repeats = 5, threads = 0;
  int64_t clips = 1;
  bool plain = false;
};

int number(const char* text) {
  int value = 0;
  const auto end = text + std::strlen(text);
  if (std::from_chars(text, end, value).ptr != end || value < 1) {
    throw slim::Error(slim::message::kBadValue, std::string("\"") + text + "\" is not a positive number.");
  }
  return value;
}

Arguments read_arguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--plain") {
      arguments.plain = true;
      continue;
    }
    if (i + 1 == argc) {
      throw slim::Error(slim::message::kUnknownOption,
                        "usage: encoder_bench [--preset base|tiny] [--mode token|unit|none|all] "
                        "[--repeats N] [--threads N] [--clips N] [--plain]");
    }
    const char* const value = argv[++i];
    if (name == "--preset") {
      arguments.preset = value;
    } else if (name == "--mode") {
      arguments.modes = value == std::string("all") ? std::vector<std::string>{"token", "unit", "none"}
                                                    : std::vector<std::string>{value};
    } else if (name == "--repeats") {
      arguments.repeats = number(value);
    } else if (name == "--threads") {
      arguments.threads = number(value);
    } else if (name == "--clips") {
      arguments.clips = number(value);
    } else {
      throw slim::Error(slim::message::kUnknownOption, "There is no option " + name + ".");
    }
  }
  return arguments;
}

void measure(const Arguments& arguments, HieraEncoder& encoder, const std::string& mode, double rate) {
  const TokenLayout layout({.background = background_from(mode), .clips = arguments.clips});
  const at::Tensor clip =
      at::randn({arguments.clips, slim::kClipFrames, layout.packed_tokens(), slim::kTokenVoxels})
          .to(at::kHalf);
  std::vector<double> seconds;
  for (int i = 0; i <= arguments.repeats; ++i) {
    seconds.push_back(seconds_of([&] { encoder->forward(clip, layout); }));
  }
  seconds.erase(seconds.begin());
  const double gflop = count_encoder_flops(encoder->options(), layout).total() / 1e9, time = median(seconds);
  std::printf("%-7s %-6s %5ld %8ld %9.1f %9.3f %9.1f %12.1f %8.3f %8.2f\n", arguments.preset.c_str(),
              mode.c_str(), static_cast<long>(arguments.clips), static_cast<long>(layout.rows(0)), gflop,
              time, gflop / time, rate, time * rate / gflop, peak_gb());
}

}  // namespace

int main(int argc, char** argv) try {
  const Arguments arguments = read_arguments(argc, argv);
  if (arguments.threads > 0) {
    at::set_num_threads(arguments.threads);
  }
  // The plain form is what runs under autograd; its parameters ask for no gradient here, so that no tape is
  // kept.
  const at::AutoGradMode gradient(arguments.plain);
  HieraEncoder encoder(encoder_preset(arguments.preset));
  init_parameters(encoder, 1);
  for (at::Tensor& parameter : encoder->parameters()) {
    parameter.requires_grad_(false);
  }
  std::printf("threads %d, %s form; ratio = seconds / (GFLOP / sgemm rate); peak is the process's so far\n",
              at::get_num_threads(), arguments.plain ? "plain ATen" : "inference");
  std::printf("%-7s %-6s %5s %8s %9s %9s %9s %12s %8s %8s\n", "preset", "mode", "clips", "tokens", "GFLOP",
              "seconds", "GFLOP/s", "sgemm GF/s", "ratio", "peak GB");
  for (const std::string& mode : arguments.modes) {
    measure(arguments, encoder, mode, product_rate());
  }
} catch (const slim::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.fault());
}
