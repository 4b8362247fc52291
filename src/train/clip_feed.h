// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "train/clip_loader.h"

namespace slim::train {

/// A copy to a device that was begun.
struct BegunCopy {
  at::Tensor tensor;            // on the device
  std::function<void()> use;    // makes what is queued from now on wait for it; the host does not wait
  std::function<bool()> ended;  // whether the source is free
  std::function<void()> wait;   // until it has ended
};

/// Begins to copy a tensor in pinned memory.
using CopyBeginner = std::function<BegunCopy(const at::Tensor& host)>;

/// Clips of a micro-batch on the device of the networks.
struct FedBatch {
  PlannedBatch plan{};
  double seconds_waited = 0;
  at::Tensor clips{};                 // packed [clips, 40, tokens, 64], float16
  at::Tensor valid{};                 // [clips, tokens, 64] bool; undefined unless the loader reads it
  std::optional<LoadedBatch> slot{};  // where the clips lie when the device is the CPU
};

// Note [Feeding]. While a CUDA device computes one batch, the next is copied to it: a second buffer. Its slot
// goes back to the readers when that copy has ended, not before. On the CPU a batch lies in its slot, and
// nothing is fetched ahead.
/// Brings a loader's batches to a device, in order (Note [Feeding]).
class ClipFeed {
 public:
  /// Reads ahead on threads of its own; for a CUDA device the slots are pinned and there is one more of them.
  ClipFeed(std::unique_ptr<ClipReader> reader, BatchPlan plan, LoaderOptions options, at::Device device);
  /// Takes over a loader; without `begin_copy` the device is the CPU.
  ClipFeed(std::unique_ptr<ClipLoader> loader, at::Device device, CopyBeginner begin_copy);
  ClipFeed(const ClipFeed&) = delete;
  ClipFeed& operator=(const ClipFeed&) = delete;
  /// Waits for copies under way.
  ~ClipFeed();

  /// The next batch; nullopt after the last. Throws the loader's errors.
  std::optional<FedBatch> next();
  /// Begins the copy of the next batch if it was read already; to be called once the computation of the
  /// present one was queued. Does nothing on the CPU.
  void fetch_ahead();
  LoaderStatistics statistics() const { return loader_->statistics(); }

 private:
  struct Begun {
    LoadedBatch slot;
    BegunCopy copy;
  };
  std::optional<Begun> begin();
  void wait_for_copies();

  std::unique_ptr<ClipLoader> loader_;
  at::Device device_;
  CopyBeginner begin_copy_;
  std::optional<Begun> ahead_;
  std::vector<Begun> under_way_;  // handed out, but still read by a copy
};

}  // namespace slim::train
