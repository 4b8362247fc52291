// SPDX-License-Identifier: Apache-2.0
#include "train/clip_loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "core/error.h"

namespace slim::train {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kWaitSeconds = 1e-3;  // shorter stops are the cost of a lock, not of a disk
constexpr size_t kAlignment = 4096;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

std::shared_ptr<std::byte> pageable_memory(size_t bytes) {
  const size_t rounded = std::max<size_t>(1, (bytes + kAlignment - 1) / kAlignment) * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded);
  if (memory == nullptr) {
    throw Error(message::kNoMemory, "There is no memory for a batch of " + std::to_string(bytes) + " bytes.",
                {.remedy = "ask for fewer clips at once"});
  }
  return {static_cast<std::byte*>(memory), [](std::byte* owned) { std::free(owned); }};
}

BatchPlan training_plan(const Sampler& sampler, uint64_t first_epoch, int64_t first_step, uint64_t epochs,
                        int64_t clips_at_once) {
  if (clips_at_once < 1) {
    throw Error(message::kBadValue, "A batch needs at least one clip.");
  }
  struct Place {
    uint64_t epoch;
    int64_t position;
    std::vector<int64_t> order;  // of the epoch; empty = not drawn yet
  };
  const int64_t per_step = sampler.options().clips_per_step;
  auto place = std::make_shared<Place>(Place{first_epoch, first_step * per_step, {}});
  return [=, &sampler]() -> std::optional<PlannedBatch> {
    if (place->position >= sampler.clips_per_epoch()) {
      *place = {place->epoch + 1, 0, {}};
    }
    if (place->epoch >= epochs) {
      return std::nullopt;
    }
    if (place->order.empty()) {
      place->order = sampler.order(place->epoch);
    }
    PlannedBatch batch{.epoch = place->epoch, .step = place->position / per_step};
    const int64_t step_end = std::min((batch.step + 1) * per_step, sampler.clips_per_epoch());
    const int64_t end = std::min(place->position + clips_at_once, step_end);
    for (; place->position < end; ++place->position) {
      batch.samples.push_back(sampler.sample(place->order, place->epoch, place->position));
    }
    batch.ends_step = end == step_end;
    return batch;
  };
}

BatchPlan one_pass(std::vector<Sample> samples, int64_t clips_at_once) {
  if (clips_at_once < 1) {
    throw Error(message::kBadValue, "A batch needs at least one clip.");
  }
  auto all = std::make_shared<const std::vector<Sample>>(std::move(samples));
  return [all, clips_at_once, step = int64_t{0}]() mutable -> std::optional<PlannedBatch> {
    const auto size = static_cast<int64_t>(all->size());
    const int64_t first = step * clips_at_once;
    if (first >= size) {
      return std::nullopt;
    }
    const auto begin = all->begin() + first;
    return PlannedBatch{.step = step++, .samples = {begin, begin + std::min(clips_at_once, size - first)}};
  };
}

namespace detail {

/// The slots and the readers' state. Batches keep it alive through their hold; the readers do not.
class Ring : public std::enable_shared_from_this<Ring> {
 public:
  Ring(std::unique_ptr<ClipReader> reader, BatchPlan plan, const LoaderOptions& options)
      : reader_(std::move(reader)), plan_(std::move(plan)), options_(options) {
    if (options_.threads < 1 || options_.slots < 1 || options_.clips_at_once < 1 ||
        options_.clip_frames < 1) {
      throw Error(message::kBadValue,
                  "A loader needs at least one thread, one slot, one clip and one frame.");
    }
    clip_values_ = static_cast<size_t>(options_.clip_frames * reader_->frame_values());
    valid_bytes_ = options_.with_valid ? static_cast<size_t>(reader_->frame_values() / 8) : 0;
    const auto clips = static_cast<size_t>(options_.clips_at_once);
    for (int64_t s = 0; s < options_.slots; ++s) {
      slots_.push_back({options_.allocate(clips * clip_values_ * sizeof(uint16_t)),
                        std::vector<uint8_t>(clips * valid_bytes_)});
      free_.push_back(static_cast<size_t>(s));
    }
  }

  void start() {
    for (int64_t t = 0; t < options_.threads; ++t) {
      readers_.emplace_back([this] { read_until_the_end(); });
    }
  }

  void stop() {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
    work_.notify_all();
    ready_.notify_all();
  }

  void join() {
    stop();
    for (std::thread& reader : readers_) {
      reader.join();
    }
    readers_.clear();
  }

  std::optional<LoadedBatch> next();
  bool has_batch() const {
    const std::scoped_lock lock(mutex_);
    return !stopped_ && !batches_.empty() && batches_.front()->error == nullptr &&
           batches_.front()->done == batches_.front()->plan->samples.size();
  }
  LoaderStatistics statistics() const {
    const std::scoped_lock lock(mutex_);
    return statistics_;
  }

 private:
  struct Slot {
    std::shared_ptr<std::byte> memory;
    std::vector<uint8_t> valid;
  };
  struct Filling {
    std::shared_ptr<const PlannedBatch> plan;
    size_t slot = 0, claimed = 0, done = 0;
    std::exception_ptr error{};
    size_t failed_clip = 0;
  };

  void read_until_the_end();
  void open_batch();
  std::shared_ptr<Filling> claimable();
  void read_clip(const Filling& batch, size_t clip);
  void give_back(size_t slot) {
    const std::scoped_lock lock(mutex_);
    free_.push_back(slot);
    work_.notify_all();
  }

  std::unique_ptr<ClipReader> reader_;
  BatchPlan plan_;
  LoaderOptions options_;
  size_t clip_values_ = 0, valid_bytes_ = 0;
  std::vector<Slot> slots_;

  mutable std::mutex mutex_;
  std::condition_variable work_, ready_;
  std::vector<size_t> free_;
  std::deque<std::shared_ptr<Filling>> batches_;  // opened and not handed out, in the order of the plan
  bool stopped_ = false, ended_ = false;          // ended: no more batches are opened
  LoaderStatistics statistics_{};
  bool step_waited_ = false;
  std::vector<std::thread> readers_;
};

/// Opens the next batch of the plan in a free slot; a plan that fails makes a failed batch without clips.
void Ring::open_batch() {
  auto batch = std::make_shared<Filling>();
  try {
    std::optional<PlannedBatch> planned = plan_();
    if (!planned) {
      ended_ = true;
      ready_.notify_all();
      return;
    }
    if (planned->samples.empty() || planned->samples.size() > static_cast<size_t>(options_.clips_at_once)) {
      throw Error(message::kBug, "A batch has no clips, or more than the loader has room for.");
    }
    batch->plan = std::make_shared<const PlannedBatch>(std::move(*planned));
    batch->slot = free_.back();
    free_.pop_back();
  } catch (...) {
    batch->plan = std::make_shared<const PlannedBatch>();
    batch->error = std::current_exception();
    ended_ = true;
  }
  batches_.push_back(std::move(batch));
  work_.notify_all();
  ready_.notify_all();
}

std::shared_ptr<Ring::Filling> Ring::claimable() {
  for (const std::shared_ptr<Filling>& batch : batches_) {
    if (batch->claimed < batch->plan->samples.size()) {
      return batch;
    }
  }
  return nullptr;
}

void Ring::read_clip(const Filling& batch, size_t clip) {
  const Sample& sample = batch.plan->samples[clip];
  Slot& slot = slots_[batch.slot];
  auto* const values = reinterpret_cast<uint16_t*>(slot.memory.get()) + clip * clip_values_;
  reader_->read(sample.run, sample.frames, {values, clip_values_});
  if (options_.with_valid) {
    reader_->read_valid(sample.run, std::span(slot.valid).subspan(clip * valid_bytes_, valid_bytes_));
  }
}

void Ring::read_until_the_end() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    std::shared_ptr<Filling> batch = claimable();
    if (batch == nullptr) {
      if (ended_) {
        return;
      }
      if (free_.empty()) {
        work_.wait(lock);
      } else {
        open_batch();
      }
      continue;
    }
    const size_t clip = batch->claimed++;
    lock.unlock();
    const Clock::time_point start = Clock::now();
    std::exception_ptr error;
    try {
      read_clip(*batch, clip);
    } catch (...) {
      error = std::current_exception();
    }
    const double seconds = seconds_since(start);
    lock.lock();
    statistics_.seconds_reading += seconds;
    if (error != nullptr && (batch->error == nullptr || clip < batch->failed_clip)) {
      batch->error = error;
      batch->failed_clip = clip;
      ended_ = true;
      work_.notify_all();
    }
    if (++batch->done == batch->plan->samples.size()) {
      ready_.notify_all();
    }
  }
}

std::optional<LoadedBatch> Ring::next() {
  std::unique_lock lock(mutex_);
  const Clock::time_point start = Clock::now();
  ready_.wait(lock, [&] {
    return stopped_ ||
           (batches_.empty() ? ended_ : batches_.front()->done == batches_.front()->plan->samples.size());
  });
  if (stopped_ || batches_.empty()) {
    return std::nullopt;
  }
  if (batches_.front()->error != nullptr) {
    std::rethrow_exception(batches_.front()->error);  // it stays in front: there is nothing after it
  }
  const std::shared_ptr<Filling> batch = batches_.front();
  batches_.pop_front();

  const size_t clips = batch->plan->samples.size(), slot = batch->slot;
  LoadedBatch loaded;
  loaded.plan_ = batch->plan;
  loaded.hold_ = std::shared_ptr<const void>(
      slots_[slot].memory.get(), [ring = shared_from_this(), slot](const void*) { ring->give_back(slot); });
  loaded.bold_ = {reinterpret_cast<const uint16_t*>(slots_[slot].memory.get()), clips * clip_values_};
  loaded.valid_ = std::span(slots_[slot].valid).first(clips * valid_bytes_);
  loaded.seconds_waited_ = seconds_since(start);

  const bool first = statistics_.batches == 0;
  statistics_.seconds_to_first += first ? loaded.seconds_waited_ : 0.0;
  statistics_.seconds_waited += loaded.seconds_waited_;
  step_waited_ = step_waited_ || (!first && loaded.seconds_waited_ > kWaitSeconds);
  ++statistics_.batches;
  statistics_.bytes += clips * (clip_values_ * sizeof(uint16_t) + valid_bytes_);
  if (batch->plan->ends_step) {
    ++statistics_.steps;
    statistics_.steps_waited += step_waited_ && statistics_.steps > 1 ? 1 : 0;
    step_waited_ = false;
  }
  return loaded;
}

}  // namespace detail

ClipLoader::ClipLoader(std::unique_ptr<ClipReader> reader, BatchPlan plan, const LoaderOptions& options)
    : ring_(std::make_shared<detail::Ring>(std::move(reader), std::move(plan), options)) {
  try {
    ring_->start();
  } catch (...) {
    ring_->join();
    throw;
  }
}

ClipLoader::~ClipLoader() { ring_->join(); }

std::optional<LoadedBatch> ClipLoader::next() { return ring_->next(); }
bool ClipLoader::has_batch() const { return ring_->has_batch(); }
void ClipLoader::stop() { ring_->stop(); }
LoaderStatistics ClipLoader::statistics() const { return ring_->statistics(); }

}  // namespace slim::train
