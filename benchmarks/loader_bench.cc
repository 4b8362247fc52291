// SPDX-License-Identifier: Apache-2.0
// How many clips a second does the loader bring into memory at base geometry from a warm cache, beside the
// zipped-npz pattern of published code? loader_bench [--seconds 3] [--repeats 3] [--folder DIR]; the script
// runs when SLIM_JUDGES names a Python with NumPy.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "clips/clip_store.h"
#include "clips/ranking.h"
#include "core/half.h"
#include "train/clip_loader.h"

namespace {

namespace fs = std::filesystem;
using namespace slim;
using Clock = std::chrono::steady_clock;

constexpr int64_t kRuns = 2, kFrames = 400;  // 457 MB: far more than any cache of the processor

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void write_store(const fs::path& path, uint64_t seed) {
  const TokenSet& tokens = packaged_token_set();
  const auto row = static_cast<size_t>(tokens.size() * kTokenVoxels);
  std::vector<uint16_t> frame(row);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  for (uint16_t& value : frame) {
    value = half_from_float(normal(random));
  }
  std::vector<uint16_t> bold;
  for (int64_t t = 0; t < kFrames; ++t) {
    std::rotate(frame.begin(), frame.begin() + 17, frame.end());
    bold.insert(bold.end(), frame.begin(), frame.end());
  }
  const std::vector<uint8_t> valid(row / 8, 0xff);
  clips::write_clip_store(path, {.n_frames = kFrames,
                                 .bold = bold,
                                 .valid = valid,
                                 .metadata = {{"slimbrain_clips", "1"},
                                              {"token_mask_sha256", tokens.mask_sha256},
                                              {"token_order_sha256", tokens.order_sha256},
                                              {"n_frames", std::to_string(kFrames)},
                                              {"repetition_time_s", "0.72"}}});
}

/// All clips of a run or its ranked one: one read of 22.9 MB, or eight of 2.9 MB.
std::vector<train::SampledRun> runs_of(clips::Ranker ranker) {
  std::vector<train::SampledRun> runs;
  for (int64_t r = 0; r < kRuns; ++r) {
    runs.push_back({kFrames, clips::clips_of(clips::rank_pieces(kFrames, {.ranker = ranker}))});
  }
  return runs;
}

struct Rate {
  double clips_per_s = 0, gigabytes_per_s = 0;
};

/// What is read, by how many, and whether the consumer widens the values to float32, as the npz pattern does,
/// or gives each slot back at once, as a device that takes float16 does.
struct Case {
  const char* title;
  train::ClipSource source;
  int64_t threads;
  bool widened;
};

Rate loader_rate(const std::vector<fs::path>& paths, const Case& asked, double seconds) {
  const train::Sampler sampler(runs_of(clips::Ranker::Uniform),
                               {.source = asked.source, .seed = 1, .clips_per_step = 4});
  train::ClipLoader loader(train::read_stores(paths), train::training_plan(sampler, 0, 0, UINT64_MAX, 4),
                           {.threads = asked.threads, .slots = 3, .clips_at_once = 4});
  for (int b = 0; b < 6; ++b) {
    (void)loader.next();  // the ring's memory is touched for the first time
  }
  const Clock::time_point start = Clock::now();
  int64_t clips = 0;
  double bytes = 0;
  std::vector<float> widened;
  while (seconds_since(start) < seconds) {
    const auto batch = loader.next();
    clips += static_cast<int64_t>(batch->plan().samples.size());
    bytes += static_cast<double>(batch->bold().size_bytes());
    if (asked.widened) {
      widened.resize(batch->bold().size());
      floats_from_halves(batch->bold(), widened);
      asm volatile("" : : "r"(widened.data()) : "memory");
    }
  }
  const double taken = seconds_since(start);
  return {static_cast<double>(clips) / taken, bytes / taken / 1e9};
}

/// The same bytes copied inside memory by one thread: what no loader can beat by much.
double copy_rate(double seconds) {
  const auto values = static_cast<size_t>(kClipFrames * packaged_token_set().size() * kTokenVoxels);
  std::vector<uint16_t> from(values * 8, 1), to(values * 4);
  const Clock::time_point start = Clock::now();
  int64_t clips = 0;
  for (; seconds_since(start) < seconds; ++clips) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(clips % 8) * values);
    std::copy_n(first, values,
                to.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(clips % 4) * values));
    asm volatile("" : : "r"(to.data()) : "memory");
  }
  return static_cast<double>(clips) / seconds_since(start);
}

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) {
    throw std::runtime_error("cannot run " + command);
  }
  std::string text;
  std::array<char, 4096> buffer{};
  while (std::fgets(buffer.data(), static_cast<int>(buffer.size()), pipe) != nullptr) {
    text += buffer.data();
  }
  if (pclose(pipe) != 0) {
    throw std::runtime_error("failed: " + command);
  }
  return text;
}

double json_number(const std::string& text, const std::string& key) {
  return std::stod(text.substr(text.find("\"" + key + "\": ") + key.size() + 4));
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 3.0;
  int repeats = 3;
  fs::path parent = fs::temp_directory_path();
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--seconds") {
      seconds = std::stod(argv[i + 1]);
    } else if (option == "--repeats") {
      repeats = std::stoi(argv[i + 1]);
    } else if (option == "--folder") {
      parent = argv[i + 1];
    }
  }
  const fs::path folder = parent / ("slimbrain-loader-bench-" + std::to_string(getpid()));
  fs::create_directories(folder);
  std::vector<fs::path> paths;
  for (int64_t r = 0; r < kRuns; ++r) {
    paths.push_back(folder / ("run-" + std::to_string(r) + ".safetensors"));
    write_store(paths.back(), static_cast<uint64_t>(r));
  }
  std::array<double, 3> load{};
  if (getloadavg(load.data(), 3) < 1) {
    load = {};
  }
  std::printf(
      "%u processors, load %.2f; medians of %d x %.1f s, warm cache; a clip is 40 frames of %lld tokens\n",
      std::thread::hardware_concurrency(), load[0], repeats, seconds,
      static_cast<long long>(packaged_token_set().size()));

  double compared = 0;
  const std::vector<Case> cases{
      {"40 frames in a row, 1 reader", train::ClipSource::Random, 1, false},
      {"8 ranked windows, 1 reader", train::ClipSource::Selected, 1, false},
      {"40 frames in a row, 2 readers", train::ClipSource::Random, 2, false},
      {"40 frames in a row, 1 reader, as float32", train::ClipSource::Random, 1, true}};
  for (const Case& asked : cases) {
    std::vector<double> clips, gigabytes;
    for (int r = 0; r < repeats; ++r) {
      const Rate rate = loader_rate(paths, asked, seconds);
      clips.push_back(rate.clips_per_s);
      gigabytes.push_back(rate.gigabytes_per_s);
    }
    compared = median(clips);  // the last case does what the npz pattern does
    std::printf("  %-40s %8.1f clips/s  %6.2f GB/s\n", asked.title, compared, median(gigabytes));
  }
  std::printf("  copy inside memory, 1 thread             %8.1f clips/s\n", copy_rate(seconds));

  const char* python = std::getenv("SLIM_JUDGES");
  if (python == nullptr) {
    std::printf("npz: not run, SLIM_JUDGES names no Python\n");
  } else {
    const std::string call = std::string(python) + " " SLIM_SOURCE_DIR "/benchmarks/loader_npz.py ";
    output_of(call + "write " + folder.string() + " 3");
    const std::string rates = output_of(call + "read " + folder.string() + " " + std::to_string(seconds));
    for (const char* form : {"compressed", "stored"}) {
      const double rate = json_number(rates, form);
      std::printf("  npz %-10s dense float16, as float32  %8.2f clips/s  1 / %.0f of ours as float32\n", form,
                  rate, compared / rate);
    }
  }
  fs::remove_all(folder);
  return 0;
}
