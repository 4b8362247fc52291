// SPDX-License-Identifier: Apache-2.0
#include "train/clip_loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "clips/clip_store.h"
#include "core/error.h"
#include "core/half.h"
#include "tests/support/clip_store.h"
#include "tests/support/run_program.h"

namespace slim::train {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Values that tell run, frame and place; slow where asked, failing where asked, in an order of its own.
class FakeReader : public ClipReader {
 public:
  int64_t frame_values() const override { return 64; }
  void read(int64_t run, const clips::ClipFrames& frames, std::span<uint16_t> out) override {
    std::this_thread::sleep_for(std::chrono::microseconds((run * 7919) % 5 * 200));
    if (failing.contains(run)) {
      throw Error(message::kInputOutput, "Run " + std::to_string(run) + " burns.",
                  {.file = "run-" + std::to_string(run), .found = "byte 4711"});
    }
    size_t at = 0;
    for (const clips::Window& window : frames) {
      for (int64_t t = window.first; t < window.last; ++t) {
        for (int64_t v = 0; v < 64; ++v) {
          out[at++] = value(run, t, v);
        }
      }
    }
  }
  void read_valid(int64_t run, std::span<uint8_t> out) override {
    std::fill(out.begin(), out.end(), static_cast<uint8_t>(run));
  }
  static uint16_t value(int64_t run, int64_t t, int64_t v) {
    return static_cast<uint16_t>(run * 4096 + t * 64 + v);
  }
  std::set<int64_t> failing;
};

std::vector<SampledRun> unranked_runs(size_t count) { return std::vector<SampledRun>(count, {60, {}}); }

Sampler sampler_of(size_t runs, int64_t clips_per_step) {
  return Sampler(unranked_runs(runs),
                 {.source = ClipSource::Random, .seed = 5, .clips_per_step = clips_per_step});
}

struct Seen {
  std::vector<PlannedBatch> plans;
  std::vector<std::vector<uint16_t>> bold;
};

Seen read_all(ClipLoader& loader) {
  Seen seen;
  while (const std::optional<LoadedBatch> batch = loader.next()) {
    seen.plans.push_back(batch->plan());
    seen.bold.emplace_back(batch->bold().begin(), batch->bold().end());
  }
  return seen;
}

Seen read_with(int64_t threads, int64_t slots, uint64_t epoch = 0, int64_t step = 0) {
  const Sampler sampler = sampler_of(13, 4);
  ClipLoader loader(std::make_unique<FakeReader>(), training_plan(sampler, epoch, step, 3, 3),
                    {.threads = threads, .slots = slots, .clips_at_once = 3});
  return read_all(loader);
}

TEST(ClipLoader, HandsOutEveryClipInOrderWithItsOwnValuesWhateverTheThreads) {
  const Seen one = read_with(1, 1);
  // 13 clips in steps of 4, 4, 4, 1, each cut after 3 clips: 7 batches an epoch.
  ASSERT_EQ(one.plans.size(), 21u);
  const Sampler sampler = sampler_of(13, 4);
  size_t b = 0;
  for (uint64_t epoch = 0; epoch < 3; ++epoch) {
    for (int64_t step = 0; step < 4; ++step) {
      std::vector<Sample> samples;
      for (bool ended = false; !ended; ++b) {
        EXPECT_EQ(one.plans[b].epoch, epoch);
        EXPECT_EQ(one.plans[b].step, step);
        samples.insert(samples.end(), one.plans[b].samples.begin(), one.plans[b].samples.end());
        ended = one.plans[b].ends_step;
        for (size_t c = 0; c < one.plans[b].samples.size(); ++c) {
          const Sample& sample = one.plans[b].samples[c];
          for (int64_t t = 0; t < 40; ++t) {
            ASSERT_EQ(one.bold[b][(c * 40 + static_cast<size_t>(t)) * 64 + 7],
                      FakeReader::value(sample.run, sample.frames[0].first + t, 7));
          }
        }
      }
      EXPECT_EQ(samples, sampler.step(epoch, step));
    }
  }
  for (const auto& [threads, slots] : {std::pair<int64_t, int64_t>{1, 3}, {4, 1}, {3, 2}, {8, 6}}) {
    EXPECT_EQ(read_with(threads, slots).bold, one.bold) << threads << " threads, " << slots << " slots";
  }
}

TEST(ClipLoader, AResumedPlanGivesTheRestOfTheSequence) {
  const Seen all = read_with(2, 2), rest = read_with(2, 2, 1, 2);
  ASSERT_EQ(rest.bold.size(), 10u);  // epoch 1 from its third step on: 3; epoch 2: 7
  EXPECT_TRUE(std::equal(rest.bold.begin(), rest.bold.end(), all.bold.end() - 10));
}

TEST(ClipLoader, OnePassReadsSamplesInOrderWithTheValidBitsOfTheirRuns) {
  ClipLoader loader(std::make_unique<FakeReader>(), one_pass(validation_samples(unranked_runs(5)), 2),
                    {.threads = 2, .slots = 2, .clips_at_once = 2, .with_valid = true});
  int64_t run = 0;
  for (int64_t step = 0; step < 3; ++step) {
    const std::optional<LoadedBatch> batch = loader.next();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->plan().step, step);
    ASSERT_EQ(batch->valid().size(), batch->plan().samples.size() * 8);
    for (size_t c = 0; c < batch->plan().samples.size(); ++c, ++run) {
      EXPECT_EQ(batch->plan().samples[c].run, run);
      EXPECT_EQ(batch->valid()[c * 8 + 7], run);
    }
  }
  EXPECT_EQ(run, 5);
  EXPECT_FALSE(loader.next());
  EXPECT_FALSE(loader.next());
}

TEST(ClipLoader, AFailureIsThrownInItsPlaceNamingFileAndByteAndNothingTakesItsPlace) {
  for (const int64_t threads : {1, 4}) {
    auto reader = std::make_unique<FakeReader>();
    reader->failing = {7, 8};  // both in the third batch: the first of them is named
    ClipLoader loader(std::move(reader), one_pass(validation_samples(unranked_runs(20)), 3),
                      {.threads = threads, .slots = 4, .clips_at_once = 3});
    for (int64_t b = 0; b < 2; ++b) {
      const std::optional<LoadedBatch> batch = loader.next();
      ASSERT_TRUE(batch);
      EXPECT_EQ(batch->plan().samples[0].run, 3 * b);
    }
    for (int again = 0; again < 2; ++again) {
      try {
        (void)loader.next();
        ADD_FAILURE() << "a failed batch was handed out";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), "SB5002");
        EXPECT_EQ(error.details().file, "run-7");
        EXPECT_EQ(error.details().found, "byte 4711");
      }
    }
    EXPECT_EQ(loader.statistics().batches, 2);
  }
}

TEST(ClipLoader, APlanThatFailsIsAnErrorOfItsBatch) {
  int calls = 0;
  const BatchPlan plan = [&]() -> std::optional<PlannedBatch> {
    if (++calls == 2) {
      throw Error(message::kBug, "no plan");
    }
    return PlannedBatch{.samples = validation_samples(unranked_runs(1))};
  };
  ClipLoader loader(std::make_unique<FakeReader>(), plan, {.threads = 2, .slots = 3});
  EXPECT_TRUE(loader.next());
  EXPECT_THROW((void)loader.next(), Error);
  ClipLoader crowded(std::make_unique<FakeReader>(), one_pass(validation_samples(unranked_runs(3)), 3), {});
  EXPECT_THROW((void)crowded.next(), Error);  // three clips, room for one
}

TEST(ClipLoader, ASlotIsNotOverwrittenWhileItsBatchIsHeld) {
  const auto samples = validation_samples(unranked_runs(12));
  ClipLoader loader(std::make_unique<FakeReader>(), one_pass(samples, 1), {.threads = 3, .slots = 3});
  std::optional<LoadedBatch> held = loader.next();
  const std::vector<uint16_t> before(held->bold().begin(), held->bold().end());
  for (int b = 0; b < 8; ++b) {
    ASSERT_TRUE(loader.next());
  }
  EXPECT_TRUE(std::equal(before.begin(), before.end(), held->bold().begin()));
  const LoadedBatch copy = *held;
  held.reset();
  for (int b = 0; b < 3; ++b) {
    ASSERT_TRUE(loader.next());
  }
  EXPECT_TRUE(std::equal(before.begin(), before.end(), copy.bold().begin()));
  EXPECT_FALSE(loader.next());
}

TEST(ClipLoader, ABatchOutlivesItsLoader) {
  std::optional<LoadedBatch> batch;
  {
    ClipLoader loader(std::make_unique<FakeReader>(), one_pass(validation_samples(unranked_runs(3)), 1), {});
    batch = loader.next();
  }
  EXPECT_EQ(batch->bold()[0], FakeReader::value(0, 10, 0));
}

TEST(ClipLoader, EndsAtAnyMomentAndStopFreesAWaitingConsumer) {
  for (int moment = 0; moment < 60; ++moment) {
    const Sampler sampler = sampler_of(30, 3);
    ClipLoader loader(std::make_unique<FakeReader>(), training_plan(sampler, 0, 0, 100, 3),
                      {.threads = 1 + moment % 4, .slots = 1 + moment % 3, .clips_at_once = 3});
    for (int b = 0; b < moment % 7; ++b) {
      ASSERT_TRUE(loader.next());
    }
    std::this_thread::sleep_for(std::chrono::microseconds(moment * 37));
  }
  ClipLoader loader(std::make_unique<FakeReader>(), one_pass(validation_samples(unranked_runs(3)), 1),
                    {.slots = 1});
  const std::optional<LoadedBatch> held = loader.next();  // the only slot: the next call can only wait
  std::thread stopper([&] {
    std::this_thread::sleep_for(20ms);
    loader.stop();
  });
  EXPECT_FALSE(loader.next());
  stopper.join();
}

TEST(ClipLoader, MemoryComesFromTheAllocatorAndGoesBackToIt) {
  std::atomic<int> alive{0};
  std::set<const void*> handed_out;
  const SlotAllocator allocate = [&](size_t bytes) {
    EXPECT_EQ(bytes, 2u * 40 * 64 * 2);
    ++alive;
    std::byte* memory = new std::byte[bytes];
    handed_out.insert(memory);
    return std::shared_ptr<std::byte>(memory, [&](std::byte* owned) {
      delete[] owned;
      --alive;
    });
  };
  {
    ClipLoader loader(std::make_unique<FakeReader>(), one_pass(validation_samples(unranked_runs(9)), 2),
                      {.slots = 2, .clips_at_once = 2, .allocate = allocate});
    while (const std::optional<LoadedBatch> batch = loader.next()) {
      EXPECT_TRUE(handed_out.contains(batch->bold().data()));
    }
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
  const SlotAllocator failing = [&](size_t bytes) -> std::shared_ptr<std::byte> {
    if (alive == 1) {
      throw Error(message::kNoMemory, "none left");
    }
    return allocate(bytes);
  };
  EXPECT_THROW(ClipLoader(std::make_unique<FakeReader>(), one_pass({}, 2),
                          {.slots = 2, .clips_at_once = 2, .allocate = failing}),
               Error);
  EXPECT_EQ(alive, 0);
}

TEST(ClipLoader, CountsBytesAndTheStepsThatWaited) {
  class Slow : public FakeReader {
    void read(int64_t run, const clips::ClipFrames& frames, std::span<uint16_t> out) override {
      std::this_thread::sleep_for(run == 2 ? 60ms : 0ms);
      FakeReader::read(run, frames, out);
    }
  };
  ClipLoader loader(std::make_unique<Slow>(), one_pass(validation_samples(unranked_runs(4)), 1),
                    {.threads = 1, .slots = 1});
  while (loader.next()) {
  }
  const LoaderStatistics statistics = loader.statistics();
  EXPECT_EQ(statistics.batches, 4);
  EXPECT_EQ(statistics.steps, 4);
  EXPECT_EQ(statistics.bytes, 4u * 40 * 64 * 2);
  EXPECT_GE(statistics.steps_waited, 1);  // run 2, at least
  EXPECT_GT(statistics.seconds_waited, 0.05);
  EXPECT_GT(statistics.seconds_reading, 0.05);
  EXPECT_GE(statistics.wait_share(), 1.0 / 3.0);
  EXPECT_LE(statistics.wait_share(), 1.0);
}

// ---- real stores

TokenSet small_set() {
  std::vector<uint8_t> flags(24 * 24 * 24, 0);
  flags[5000] = flags[9000] = 1;
  return token_set_from_flags(flags);
}

void write_store(const fs::path& path, const TokenSet& tokens, int64_t run, int64_t frames) {
  test::write_clip_store(path, tokens, frames, [&](int64_t frame, int64_t voxel) {
    return static_cast<float>(run * 1000 + frame) + static_cast<float>(voxel) / 128.0f;
  });
}

class Stores : public ::testing::Test {
 protected:
  Stores() {
    for (int64_t r = 0; r < 4; ++r) {
      paths_.push_back(folder_ / ("run-" + std::to_string(r) + ".safetensors"));
      write_store(paths_.back(), tokens_, r, 100);
    }
  }
  Error error_of(const clips::ClipFrames& frames, int64_t run) {
    try {
      std::vector<uint16_t> out(40 * 128);
      read_stores(paths_, tokens_)->read(run, frames, out);
    } catch (const Error& error) {
      return error;
    }
    return Error(message::kBug, "nothing was thrown");
  }
  test::TempFolder folder_;
  TokenSet tokens_ = small_set();
  std::vector<fs::path> paths_;
};

TEST_F(Stores, WindowsAreReadInTheirOrderNeighboursOrNot) {
  const clips::ClipFrames frames{{3, 8}, {8, 13}, {50, 75}, {95, 100}};
  for (const size_t files_open : {1u, 2u, 128u}) {  // stores are closed and opened again as needed
    const std::unique_ptr<ClipReader> reader = read_stores(paths_, tokens_, files_open);
    for (const int64_t run : {2, 0, 3, 1, 2, 2, 0}) {
      std::vector<uint16_t> out(40 * 128);
      reader->read(run, frames, out);
      size_t at = 0;
      for (const clips::Window& window : frames) {
        for (int64_t t = window.first; t < window.last; ++t, ++at) {
          ASSERT_EQ(out[at * 128 + 64], half_from_float(static_cast<float>(run * 1000 + t) + 0.5f));
        }
      }
    }
  }
}

TEST_F(Stores, ManyThreadsReadTheSameAsOne) {
  const Sampler sampler(std::vector<SampledRun>(4, {100, {}}),
                        {.source = ClipSource::Random, .seed = 2, .clips_per_step = 3});
  std::vector<std::vector<std::vector<uint16_t>>> seen;
  for (const int64_t threads : {1, 5}) {
    ClipLoader loader(read_stores(paths_, tokens_, 2), training_plan(sampler, 0, 0, 10, 3),
                      {.threads = threads, .slots = 2, .clips_at_once = 3});
    seen.push_back(read_all(loader).bold);
  }
  EXPECT_EQ(seen[0].size(), 20u);
  EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(Stores, ADefectIsNamedWithItsFileAndPlace) {
  const auto full = fs::file_size(paths_[1]);
  const std::unique_ptr<ClipReader> reader = read_stores(paths_, tokens_);
  std::vector<uint16_t> out(40 * 128);
  reader->read(1, {{0, 40}}, out);
  fs::resize_file(paths_[1], full / 2);  // cut while it is open
  try {
    reader->read(1, {{60, 100}}, out);
    ADD_FAILURE() << "frames beyond the end were read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB5002");
    EXPECT_EQ(error.details().file, paths_[1].string());
    EXPECT_EQ(error.details().found,
              "byte " + std::to_string(std::max<uintmax_t>(full / 2, 4096 + 60 * 256)));
  }
  EXPECT_EQ(error_of({{0, 40}}, 1).code(), "SB2020");  // opened anew: the header promises more than there is
  fs::remove(paths_[2]);
  EXPECT_EQ(error_of({{0, 40}}, 2).code(), "SB2101");
  EXPECT_EQ(error_of({{61, 101}}, 0).code(), "SB4002");
  EXPECT_EQ(error_of({{61, 101}}, 0).details().file, paths_[0].string());
  EXPECT_EQ(error_of({{-1, 39}}, 0).code(), "SB4002");
  EXPECT_EQ(error_of({{0, 39}}, 0).code(), "SB9001");
  EXPECT_EQ(error_of({{0, 41}}, 0).code(), "SB9001");
  EXPECT_EQ(error_of({{0, 40}}, 4).code(), "SB9001");
}

}  // namespace
}  // namespace slim::train
