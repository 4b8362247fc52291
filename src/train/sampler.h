// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "clips/window.h"

namespace slim::train {

/// Where the clip of a visit comes from.
enum class ClipSource {
  Selected,  // the ranked clip of the piece
  Random,    // 40 consecutive frames from anywhere in the run
  Mixed      // a coin per visit
};
/// `selected`, `random` or `mixed` (--set train.clips); another name is Error SB1002.
ClipSource clip_source_from(std::string_view name);
std::string_view name_of(ClipSource source);

/// A run to learn from. `selected` holds the ranked clip of each piece (with ranker `all`: every clip); it
/// may be empty where only random clips are asked for.
struct SampledRun {
  int64_t n_frames = 0;
  std::vector<clips::ClipFrames> selected{};
};

struct SamplerOptions {
  ClipSource source = ClipSource::Selected;
  uint64_t seed = 1;
  int64_t clips_per_step = 1;
  int64_t masks_per_clip = 1;
};

/// One clip to be read and learnt from.
struct Sample {
  int64_t run = 0;  // number of the run
  clips::ClipFrames frames{};
  uint64_t position = 0;   // in the epoch
  uint64_t mask_draw = 0;  // index of its first mask stream: position x masks_per_clip
  bool operator==(const Sample&) const = default;
};

// Note [Sampling]. An epoch visits each run once per piece (once per selected clip where a ranker gives
// more), in the order of a Fisher-Yates shuffle on the stream (seed, "order", epoch): for i < n swap(i, i +
// bounded(n - i)). The clip of a visit is drawn from the stream (seed, "clip", epoch, position): the coin
// where there is one (0 = selected), then the start. Nothing else decides, so a resume, another number of
// threads or of processes gives the same sequence.
/// Which clips an epoch visits, as a pure function of (seed, epoch, position) (Note [Sampling]).
class Sampler {
 public:
  /// Error SB1002 for sizes below 1, SB3002 when no run has 40 frames, SB4002 when ranked clips are needed
  /// and a run of at least 40 frames has none, or fewer than pieces.
  Sampler(std::vector<SampledRun> runs, const SamplerOptions& options);

  int64_t clips_per_epoch() const { return static_cast<int64_t>(visits_.size()); }
  /// Leftover clips form a last, smaller step.
  int64_t steps_per_epoch() const;
  const SamplerOptions& options() const { return options_; }

  /// The visits of an epoch, in order: numbers into the list of (run, piece).
  std::vector<int64_t> order(uint64_t epoch) const;
  /// The clip of a position; `order` is that of the epoch.
  Sample sample(const std::vector<int64_t>& order, uint64_t epoch, int64_t position) const;
  /// The clips of step 0 <= step < steps_per_epoch() of an epoch.
  std::vector<Sample> step(uint64_t epoch, int64_t step) const;

 private:
  struct Visit {
    int64_t run, piece;
  };
  std::vector<SampledRun> runs_;
  SamplerOptions options_;
  std::vector<Visit> visits_;
};

/// The clips of a validation, run by run: the selected ones, or the middle 40 frames of each piece of a run
/// without. Positions count from 0 (their masks are those of epoch 0).
std::vector<Sample> validation_samples(const std::vector<SampledRun>& runs, int64_t masks_per_clip = 1);

}  // namespace slim::train
