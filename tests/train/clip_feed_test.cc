// SPDX-License-Identifier: Apache-2.0
#include "train/clip_feed.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "core/error.h"

namespace slim::train {
namespace {

using namespace std::chrono_literals;

constexpr int64_t kClips = 7;

/// Clips whose values are all the number of their run; the seventh run cannot be read if asked for.
class NumberReader : public ClipReader {
 public:
  explicit NumberReader(int64_t failing) : failing_(failing) {}
  int64_t frame_values() const override { return 64; }
  void read(int64_t run, const clips::ClipFrames&, std::span<uint16_t> out) override {
    if (run == failing_) {
      throw Error(message::kInputOutput, "Run " + std::to_string(run) + " burns.");
    }
    std::fill(out.begin(), out.end(), static_cast<uint16_t>(run));
  }
  void read_valid(int64_t run, std::span<uint8_t> out) override {
    std::fill(out.begin(), out.end(), static_cast<uint8_t>(run));
  }

 private:
  int64_t failing_;
};

std::vector<Sample> all_runs() {
  std::vector<Sample> samples;
  for (int64_t run = 0; run < kClips; ++run) {
    samples.push_back({.run = run, .frames = {{0, 40}}, .position = static_cast<uint64_t>(run)});
  }
  return samples;
}

LoaderOptions loading(int64_t slots) {
  return {.threads = 1, .slots = slots, .clips_at_once = 2, .with_valid = true};
}

std::unique_ptr<ClipLoader> loader(int64_t slots = 3, int64_t failing = -1) {
  return std::make_unique<ClipLoader>(std::make_unique<NumberReader>(failing), one_pass(all_runs(), 2),
                                      loading(slots));
}

/// A device whose copies take place only when they are let.
struct SlowDevice {
  struct Copy {
    at::Tensor source, target;
    bool ended = false, used = false;
  };
  std::vector<std::shared_ptr<Copy>> copies;
  int waits = 0;

  CopyBeginner beginner() {
    return [this](const at::Tensor& host) {
      const auto copy = std::make_shared<Copy>(Copy{host, host.clone().zero_()});
      copies.push_back(copy);
      return BegunCopy{.tensor = copy->target,
                       .use = [copy] { copy->used = true; },
                       .ended = [copy] { return copy->ended; },
                       .wait =
                           [this, copy] {
                             ++waits;
                             end(*copy);
                           }};
    };
  }
  /// Once: when a copy has ended its source is read into again.
  static void end(Copy& copy) {
    if (copy.ended) {
      return;
    }
    copy.target.copy_(copy.source);
    copy.ended = true;
  }
};

std::vector<uint16_t> numbers(const at::Tensor& clips) {
  std::vector<uint16_t> first;
  for (int64_t i = 0; i < clips.size(0); ++i) {
    const at::Tensor clip = clips[i].contiguous();
    first.push_back(*static_cast<const uint16_t*>(clip.const_data_ptr()));
  }
  return first;
}

bool becomes(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) {
    std::this_thread::sleep_for(1ms);
  }
  return condition();
}

TEST(ClipFeed, OnTheCpuABatchLiesInItsSlot) {
  ClipFeed feed(std::make_unique<NumberReader>(-1), one_pass(all_runs(), 2), loading(3), at::kCPU);
  uint16_t run = 0;
  while (const std::optional<FedBatch> batch = feed.next()) {
    feed.fetch_ahead();
    ASSERT_TRUE(batch->slot.has_value());
    EXPECT_EQ(batch->clips.const_data_ptr(), static_cast<const void*>(batch->slot->bold().data()));
    EXPECT_EQ(batch->clips.sizes(), (std::vector<int64_t>{batch->clips.size(0), 40, 1, 64}));
    for (const uint16_t number : numbers(batch->clips)) {
      EXPECT_EQ(number, run);
      const at::Tensor valid = batch->valid[run % 2].view({-1});
      for (int64_t bit = 0; bit < 8; ++bit) {
        EXPECT_EQ(valid[bit].item<bool>(), ((run >> bit) & 1) != 0);
      }
      ++run;
    }
  }
  EXPECT_EQ(run, kClips);
}

TEST(ClipFeed, ADeviceGetsEveryBatchInOrderWhetherFetchedAheadOrNot) {
  for (const bool ahead : {false, true}) {
    SlowDevice device;
    ClipFeed feed(loader(), at::kCPU, device.beginner());
    std::vector<uint16_t> seen;
    while (const std::optional<FedBatch> batch = feed.next()) {
      EXPECT_TRUE(device.copies[batch->plan.samples.front().position / 2]->used) << "before it is handed out";
      if (ahead) {
        feed.fetch_ahead();
      }
      for (const auto& copy : device.copies) {
        SlowDevice::end(*copy);
      }
      for (const uint16_t number : numbers(batch->clips)) {
        seen.push_back(number);
      }
    }
    EXPECT_EQ(seen, (std::vector<uint16_t>{0, 1, 2, 3, 4, 5, 6}));
  }
}

TEST(ClipFeed, TheNextBatchIsCopiedWhileTheDeviceComputes) {
  SlowDevice device;
  ClipFeed feed(loader(), at::kCPU, device.beginner());
  const std::optional<FedBatch> first = feed.next();
  EXPECT_TRUE(becomes([&] {
    feed.fetch_ahead();
    return device.copies.size() == 2;
  }));
  feed.fetch_ahead();
  EXPECT_EQ(device.copies.size(), 2U) << "one buffer ahead, not more";
  EXPECT_FALSE(device.copies[1]->used);
}

TEST(ClipFeed, ASlotIsReadIntoAgainOnlyWhenItsCopyHasEnded) {
  SlowDevice device;
  ClipFeed feed(loader(2), at::kCPU, device.beginner());
  const auto copies_are = [&](size_t count) {
    return becomes([&] {
      feed.fetch_ahead();
      return device.copies.size() == count;
    });
  };
  feed.next();  // the batch itself is gone at once
  ASSERT_TRUE(copies_are(2));
  feed.next();
  feed.fetch_ahead();
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(numbers(device.copies[0]->source), (std::vector<uint16_t>{0, 1})) << "both slots are still read";
  EXPECT_EQ(numbers(device.copies[1]->source), (std::vector<uint16_t>{2, 3}));
  SlowDevice::end(*device.copies[0]);
  ASSERT_TRUE(copies_are(3));
  EXPECT_EQ(numbers(device.copies[2]->source), (std::vector<uint16_t>{4, 5}));
  EXPECT_EQ(device.copies[2]->source.const_data_ptr(), device.copies[0]->source.const_data_ptr());
  EXPECT_EQ(numbers(device.copies[1]->source), (std::vector<uint16_t>{2, 3}));
}

TEST(ClipFeed, ItsEndWaitsForTheCopiesUnderWay) {
  SlowDevice device;
  {
    ClipFeed feed(loader(), at::kCPU, device.beginner());
    feed.next();
    ASSERT_TRUE(becomes([&] {
      feed.fetch_ahead();
      return device.copies.size() == 2;
    }));
  }
  EXPECT_EQ(device.waits, 2);
}

TEST(ClipFeed, ABrokenClipIsReportedWhenItsTurnComes) {
  SlowDevice device;
  ClipFeed feed(loader(3, 4), at::kCPU, device.beginner());
  for (int i = 0; i < 2; ++i) {
    const std::optional<FedBatch> batch = feed.next();
    ASSERT_TRUE(batch.has_value());
    SlowDevice::end(*device.copies.back());
    std::this_thread::sleep_for(5ms);
    EXPECT_NO_THROW(feed.fetch_ahead());
    for (const auto& copy : device.copies) {
      SlowDevice::end(*copy);
    }
  }
  EXPECT_THROW(feed.next(), Error);
}

}  // namespace
}  // namespace slim::train
