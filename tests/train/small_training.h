// SPDX-License-Identifier: Apache-2.0
// Whole trainings of stage 2 on a token set so small that a step takes milliseconds.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/seed.h"
#include "small_set.h"
#include "tests/support/clip_store.h"
#include "tests/support/run_program.h"
#include "train/trainer.h"

namespace slim::train::testing {

namespace fs = std::filesystem;
using model::testing::small_set;

inline constexpr int64_t kFrames = 60;

/// A clip store of noise around a pattern of its own; `value` instead everywhere where it is given.
inline void write_store(const fs::path& path, uint64_t run, std::optional<float> value = {}) {
  const auto values = static_cast<uint64_t>(small_set().size() * kTokenVoxels);
  Stream pattern(7, "pattern", run), noise(7, "noise", run);
  std::vector<double> place;
  for (uint64_t v = 0; v < values; ++v) {
    place.push_back(pattern.normal());
  }
  test::write_clip_store(path, small_set(), kFrames, [&](int64_t frame, int64_t voxel) {
    return value.value_or(static_cast<float>(
        std::sin(0.3 * static_cast<double>(frame)) * place[static_cast<size_t>(voxel)] + noise.normal()));
  });
}

/// Stores of 8 runs, the last two to validate on; 6 clips an epoch.
struct Cohort {
  test::TempFolder folder;
  TrainingRuns training, validation;
  explicit Cohort(std::optional<float> value = {}) {
    for (uint64_t run = 0; run < 8; ++run) {
      TrainingRuns& part = run < 6 ? training : validation;
      part.stores.push_back(folder / (std::to_string(run) + ".safetensors"));
      part.runs.push_back({.n_frames = kFrames});
      write_store(part.stores.back(), run, value);
    }
  }
};

/// 4 epochs of 3 steps of 2 clips.
inline TrainerOptions tiny(Objective objective = Objective::Jepa) {
  return {.pretraining = {.objective = objective,
                          .jepa = {.encoder = model::encoder_preset("tiny"),
                                   .predictor = model::predictor_preset("tiny"),
                                   .tokens = &small_set()},
                          .schedule = {.peak = 1e-3, .floor = 1e-5},
                          .ema = 0.95,
                          .verdict = {.width = 128, .patience = 20},
                          .seed = 4},
          .sampler = {.source = ClipSource::Random, .seed = 4, .clips_per_step = 2},
          .epochs = 4,
          .warmup_epochs = 1,
          .settings = {{"seed", "4"}, {"epochs", "4"}}};
}

/// A training in a folder; `stop_at` raises the stop flag while that step is reported.
struct Call {
  std::atomic<bool> stop = false;
  std::vector<std::string> said;
  int64_t steps = 0;  // taken in this call
  std::optional<Trained> trained;
  std::optional<Error> error;

  Call(const TrainerOptions& options, const Cohort& cohort, const fs::path& folder, int64_t stop_at = -1,
       at::ScalarType type = at::kFloat) {
    const TrainerHooks hooks{.stop = stop,
                             .on_step =
                                 [&](const TrainingProgress& now) {
                                   ++steps;
                                   stop = now.step == stop_at;
                                 },
                             .say = [&](const std::string& sentence) { said.push_back(sentence); }};
    try {
      trained = train(options, cohort.training, cohort.validation, folder, hooks, at::kCPU, type);
    } catch (const Error& caught) {
      error = caught;
    }
  }
  std::string code() const { return error ? std::string(error->code()) : std::string(); }
};

inline void expect_equal(const Parameters& found, const Parameters& expected) {
  EXPECT_EQ(found.size(), expected.size());
  for (const auto& [key, tensor] : expected) {
    EXPECT_TRUE(found.contains(key) && at::equal(found.at(key), tensor)) << key;
  }
}

class Trainer : public ::testing::Test {
 protected:
  // The promise of equal bits is one for a fixed number of threads.
  void SetUp() override { at::set_num_threads(1); }
  const Cohort& cohort() {
    static const Cohort all;
    return all;
  }
  test::TempFolder folder_;
};

}  // namespace slim::train::testing
