// SPDX-License-Identifier: Apache-2.0
#include "train/clip_feed.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "model/device/upload.h"

namespace slim::train {
namespace {

/// The clips where they were read.
at::Tensor clips_in_slot(const LoadedBatch& batch) {
  const auto clips = static_cast<int64_t>(batch.plan().samples.size());
  const auto values = static_cast<int64_t>(batch.bold().size()) / (clips * kClipFrames);
  return at::from_blob(const_cast<uint16_t*>(batch.bold().data()),
                       {clips, kClipFrames, values / kTokenVoxels, kTokenVoxels}, at::kHalf);
}

/// Valid bits as flags; undefined when they were not read.
at::Tensor valid_flags(const LoadedBatch& batch, at::Device device) {
  if (batch.valid().empty()) {
    return {};
  }
  const auto clips = static_cast<int64_t>(batch.plan().samples.size());
  at::Tensor valid = at::empty(
      {clips, static_cast<int64_t>(batch.valid().size()) * 8 / (clips * kTokenVoxels), kTokenVoxels},
      at::kBool);
  bool* const flags = valid.data_ptr<bool>();
  for (size_t i = 0; i < static_cast<size_t>(valid.numel()); ++i) {
    flags[i] = ((batch.valid()[i / 8] >> (i % 8)) & 1U) != 0;
  }
  return model::upload(valid, device);
}

/// Copies on a stream of their own of a CUDA device, beside what it computes.
CopyBeginner copies_beside_computation(at::Device device) {
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  return [device, stream](const at::Tensor& host) {
    const auto copied = std::make_shared<c10::Event>(device.type());
    at::Tensor tensor;
    {
      const c10::StreamGuard beside(stream);
      tensor = host.to(at::TensorOptions(device), /*non_blocking=*/true);
      copied->record(stream);
    }
    const auto use = [device, copied, tensor] {
      const c10::Stream computing = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
      copied->block(computing);
      // Its memory belongs to the copying stream and must not be reused while the other still reads it.
      tensor.record_stream(computing);
    };
    return BegunCopy{.tensor = tensor,
                     .use = use,
                     .ended = [copied] { return copied->query(); },
                     .wait = [copied] { copied->synchronize(); }};
  };
}

/// Only from pinned memory does a copy run beside the computation.
std::shared_ptr<std::byte> pinned_memory(size_t bytes) {
  const at::Tensor held =
      at::empty({static_cast<int64_t>(bytes)}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
  return {static_cast<std::byte*>(held.data_ptr()), [held](std::byte*) {}};
}

}  // namespace

ClipFeed::ClipFeed(std::unique_ptr<ClipLoader> loader, at::Device device, CopyBeginner begin_copy)
    : loader_(std::move(loader)), device_(device), begin_copy_(std::move(begin_copy)) {}

ClipFeed::ClipFeed(std::unique_ptr<ClipReader> reader, BatchPlan plan, LoaderOptions options,
                   at::Device device)
    : device_(device) {
  if (device.is_cuda()) {
    begin_copy_ = copies_beside_computation(device);
    options.allocate = pinned_memory;
    options.slots += 1;
  }
  loader_ = std::make_unique<ClipLoader>(std::move(reader), std::move(plan), options);
}

ClipFeed::~ClipFeed() {
  if (ahead_) {
    ahead_->copy.wait();
  }
  wait_for_copies();
}

void ClipFeed::wait_for_copies() {
  for (const Begun& begun : under_way_) {
    begun.copy.wait();
  }
  under_way_.clear();
}

std::optional<ClipFeed::Begun> ClipFeed::begin() {
  std::optional<LoadedBatch> slot = loader_->next();
  if (!slot) {
    return std::nullopt;
  }
  BegunCopy copy = begin_copy_(clips_in_slot(*slot));
  return Begun{.slot = std::move(*slot), .copy = std::move(copy)};
}

void ClipFeed::fetch_ahead() {
  std::erase_if(under_way_, [](const Begun& begun) { return begun.copy.ended(); });
  if (begin_copy_ && !ahead_ && loader_->has_batch()) {
    ahead_ = begin();
  }
}

std::optional<FedBatch> ClipFeed::next() {
  if (!begin_copy_) {
    std::optional<LoadedBatch> slot = loader_->next();
    if (!slot) {
      return std::nullopt;
    }
    return FedBatch{.plan = slot->plan(),
                    .seconds_waited = slot->seconds_waited(),
                    .clips = clips_in_slot(*slot),
                    .valid = valid_flags(*slot, device_),
                    .slot = std::move(slot)};
  }
  std::optional<Begun> begun = std::exchange(ahead_, std::nullopt);
  if (!begun) {
    // The readers may need the slots of copies under way to go on.
    wait_for_copies();
    begun = begin();
  }
  if (!begun) {
    return std::nullopt;
  }
  begun->copy.use();
  FedBatch batch{.plan = begun->slot.plan(),
                 .seconds_waited = begun->slot.seconds_waited(),
                 .clips = begun->copy.tensor,
                 .valid = valid_flags(begun->slot, device_)};
  under_way_.push_back(std::move(*begun));
  return batch;
}

}  // namespace slim::train
