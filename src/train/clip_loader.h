// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/slim_grid.h"
#include "train/clip_reader.h"
#include "train/sampler.h"

namespace slim::train {

/// What is read at once: a micro-batch of a step.
struct PlannedBatch {
  uint64_t epoch = 0;
  int64_t step = 0;       // in the epoch
  bool ends_step = true;  // the optimiser steps after it
  std::vector<Sample> samples{};
};

/// Gives the batches in order; nullopt = no more. Called by one thread at a time.
using BatchPlan = std::function<std::optional<PlannedBatch>()>;

/// All batches of epochs [first_epoch, epochs), from step first_step of the first on; each step is cut into
/// micro-batches of at most clips_at_once clips. The sampler must outlive the plan.
BatchPlan training_plan(const Sampler& sampler, uint64_t first_epoch, int64_t first_step, uint64_t epochs,
                        int64_t clips_at_once);
/// The samples in order, clips_at_once at a time, as steps 0, 1, ... of epoch 0.
BatchPlan one_pass(std::vector<Sample> samples, int64_t clips_at_once);

/// Memory of a slot: at least `bytes`, aligned for vectors, freed by the pointer's own deleter (a CUDA build
/// hands in pinned memory). May throw Error SB4004.
using SlotAllocator = std::function<std::shared_ptr<std::byte>(size_t bytes)>;
/// Pageable memory, aligned to 4,096 bytes. Error SB4004 when there is none.
std::shared_ptr<std::byte> pageable_memory(size_t bytes);

struct LoaderOptions {
  int64_t threads = 2;        // readers
  int64_t slots = 3;          // batches in memory, those in use included
  int64_t clips_at_once = 1;  // most clips of a batch
  int64_t clip_frames = kClipFrames;
  bool with_valid = false;  // also the valid bits of each clip's run
  SlotAllocator allocate = pageable_memory;
};

/// What was read, and how long the steps stood still for it.
struct LoaderStatistics {
  int64_t batches = 0, steps = 0, steps_waited = 0;
  uint64_t bytes = 0;           // of batches handed out
  double seconds_waited = 0;    // in next()
  double seconds_to_first = 0;  // of these, for the first batch: filling the ring is no shortage
  double seconds_reading = 0;   // summed over readers

  /// Share of steps, the first left out, that waited for more than a millisecond.
  double wait_share() const {
    return steps > 1 ? static_cast<double>(steps_waited) / static_cast<double>(steps - 1) : 0;
  }
};

namespace detail {
class Ring;
}

/// A batch in its slot. The slot is free for reading again when the last copy goes: keep one until the copy
/// to a device has ended. Outlives the loader safely.
class LoadedBatch {
 public:
  const PlannedBatch& plan() const { return *plan_; }
  /// float16 bits [clips][frames][tokens x 64].
  std::span<const uint16_t> bold() const { return bold_; }
  /// Valid bits [clips][tokens x 64 / 8]; empty unless asked for.
  std::span<const uint8_t> valid() const { return valid_; }
  double seconds_waited() const { return seconds_waited_; }

 private:
  friend class detail::Ring;
  std::shared_ptr<const PlannedBatch> plan_;
  std::shared_ptr<const void> hold_;
  std::span<const uint16_t> bold_;
  std::span<const uint8_t> valid_;
  double seconds_waited_ = 0;
};

// Note [Loader]. Readers take clips in the order of the plan and read each into its place of a slot; batches
// are handed out in that order whatever order the clips arrive in. The first failure ends reading: batches
// before the failed one are still handed out, then its error is thrown, that of its first failing clip, again
// and again. No clip is ever left out or replaced.
/// Reads batches ahead on threads of its own (Note [Loader]).
class ClipLoader {
 public:
  /// Takes all memory at once. Errors SB1002 for sizes below 1, SB4004 for lack of memory.
  ClipLoader(std::unique_ptr<ClipReader> reader, BatchPlan plan, const LoaderOptions& options);
  ClipLoader(const ClipLoader&) = delete;
  ClipLoader& operator=(const ClipLoader&) = delete;
  /// Stops, waiting at most for the reads under way.
  ~ClipLoader();

  /// The next batch; nullopt after the last one, or once stopped. Blocks while it is being read, and for ever
  /// when the caller itself holds all slots. One thread calls it.
  std::optional<LoadedBatch> next();
  /// Whether next() would give a batch at once.
  bool has_batch() const;
  /// Ends reading; a next() that waits in another thread returns.
  void stop();
  LoaderStatistics statistics() const;

 private:
  std::shared_ptr<detail::Ring> ring_;
};

}  // namespace slim::train
