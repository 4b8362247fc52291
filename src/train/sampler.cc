// SPDX-License-Identifier: Apache-2.0
#include "train/sampler.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <utility>

#include "core/error.h"
#include "core/seed.h"
#include "core/slim_grid.h"

namespace slim::train {
namespace {

constexpr std::array<std::pair<std::string_view, ClipSource>, 3> kSources{
    {{"selected", ClipSource::Selected}, {"random", ClipSource::Random}, {"mixed", ClipSource::Mixed}}};

Sample sample_of(int64_t run, clips::ClipFrames frames, int64_t position, int64_t masks_per_clip) {
  return {.run = run,
          .frames = std::move(frames),
          .position = static_cast<uint64_t>(position),
          .mask_draw = static_cast<uint64_t>(position * masks_per_clip)};
}

}  // namespace

ClipSource clip_source_from(std::string_view name) {
  for (const auto& [known, source] : kSources) {
    if (known == name) {
      return source;
    }
  }
  throw Error(message::kBadValue,
              "train.clips " + std::string(name) + " is not valid: use selected, random or mixed.");
}

std::string_view name_of(ClipSource source) {
  return std::find_if(kSources.begin(), kSources.end(),
                      [&](const auto& known) { return known.second == source; })
      ->first;
}

Sampler::Sampler(std::vector<SampledRun> runs, const SamplerOptions& options)
    : runs_(std::move(runs)), options_(options) {
  if (options_.clips_per_step < 1 || options_.masks_per_clip < 1) {
    throw Error(message::kBadValue, "A step needs at least one clip, and a clip at least one mask.");
  }
  for (size_t r = 0; r < runs_.size(); ++r) {
    const size_t pieces = clips::pieces_of(runs_[r].n_frames).size(), selected = runs_[r].selected.size();
    if (options_.source != ClipSource::Random && selected < pieces) {
      throw Error(message::kUnfitModel, "Ranked clips are asked for, and run " + std::to_string(r) + " has " +
                                            std::to_string(selected) + " for " + std::to_string(pieces) +
                                            " pieces.");
    }
    const size_t visits = pieces == 0 ? 0 : std::max(pieces, selected);
    for (size_t p = 0; p < visits; ++p) {
      visits_.push_back({static_cast<int64_t>(r), static_cast<int64_t>(p)});
    }
  }
  if (visits_.empty()) {
    throw Error(message::kEmptySelection,
                "No run has the " + std::to_string(kClipFrames) + " frames of a clip.");
  }
}

int64_t Sampler::steps_per_epoch() const {
  return (clips_per_epoch() + options_.clips_per_step - 1) / options_.clips_per_step;
}

std::vector<int64_t> Sampler::order(uint64_t epoch) const {
  std::vector<int64_t> order(visits_.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  Stream stream(options_.seed, "order", epoch);
  for (size_t i = 0; i < order.size(); ++i) {
    std::swap(order[i], order[i + stream.bounded(order.size() - i)]);
  }
  return order;
}

Sample Sampler::sample(const std::vector<int64_t>& order, uint64_t epoch, int64_t position) const {
  if (position < 0 || position >= clips_per_epoch() || order.size() != visits_.size()) {
    throw Error(message::kBug, "A clip outside an epoch was asked for.");
  }
  const Visit visit = visits_[static_cast<size_t>(order[static_cast<size_t>(position)])];
  const SampledRun& run = runs_[static_cast<size_t>(visit.run)];
  Stream stream(options_.seed, "clip", epoch, static_cast<uint64_t>(position));
  const bool random = options_.source == ClipSource::Random ||
                      (options_.source == ClipSource::Mixed && stream.bounded(2) == 1);
  if (!random) {
    return sample_of(visit.run, run.selected[static_cast<size_t>(visit.piece)], position,
                     options_.masks_per_clip);
  }
  const auto first =
      static_cast<int64_t>(stream.bounded(static_cast<uint64_t>(run.n_frames - kClipFrames + 1)));
  return sample_of(visit.run, {{first, first + kClipFrames}}, position, options_.masks_per_clip);
}

std::vector<Sample> Sampler::step(uint64_t epoch, int64_t step) const {
  if (step < 0 || step >= steps_per_epoch()) {
    throw Error(message::kBug, "A step outside an epoch was asked for.");
  }
  const std::vector<int64_t> visits = order(epoch);
  const int64_t first = step * options_.clips_per_step;
  std::vector<Sample> samples;
  for (int64_t p = first; p < std::min(first + options_.clips_per_step, clips_per_epoch()); ++p) {
    samples.push_back(sample(visits, epoch, p));
  }
  return samples;
}

std::vector<Sample> validation_samples(const std::vector<SampledRun>& runs, int64_t masks_per_clip) {
  std::vector<Sample> samples;
  for (size_t r = 0; r < runs.size(); ++r) {
    std::vector<clips::ClipFrames> clips = runs[r].selected;
    if (clips.empty()) {
      for (const clips::Window& piece : clips::pieces_of(runs[r].n_frames)) {
        const int64_t first = piece.first + (piece.last - piece.first - kClipFrames) / 2;
        clips.push_back({{first, first + kClipFrames}});
      }
    }
    for (clips::ClipFrames& clip : clips) {
      samples.push_back(sample_of(static_cast<int64_t>(r), std::move(clip),
                                  static_cast<int64_t>(samples.size()), masks_per_clip));
    }
  }
  return samples;
}

}  // namespace slim::train
