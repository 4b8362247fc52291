// SPDX-License-Identifier: Apache-2.0
#include "preproc/pack.h"

#include <tbb/concurrent_queue.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>

#include "core/error.h"
#include "preproc/lattice.h"

namespace slim::preproc {
namespace {

constexpr int64_t kSampledFrames = 50;  // about so many frames are summed over the whole grid
constexpr int kFloat32 = 16;            // NIfTI code

/// One place of the ring: a stored frame, its values, and memory for interpolation.
struct Slot {
  int64_t t = 0;           // row
  std::vector<float> raw;  // as floats, so that stored float32 need no copy; frame_bytes are used
  std::vector<float> values;
  SplineCoefficients coefficients;
  std::span<const float> frame;  // values, wherever they are
  int64_t clamped = 0;
  bool nonfinite = false;
};

struct Extremes {
  float lowest = 0.0f;
  bool nonfinite = false;
};

/// Smallest finite value (or 0), and whether there are others; in lanes, so that compilers vectorise it.
Extremes extremes_of(std::span<const float> frame) {
  constexpr size_t kLanes = 16;
  std::array<float, kLanes> low{};
  std::array<uint32_t, kLanes> bad{};
  const auto look = [&](size_t lane, float value) {
    const uint32_t exponent = std::bit_cast<uint32_t>(value) & 0x7f800000u;
    bad[lane] |= exponent == 0x7f800000u ? 1u : 0u;
    low[lane] = value < low[lane] ? value : low[lane];
  };
  size_t i = 0;
  for (; i + kLanes <= frame.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      look(lane, frame[i + lane]);
    }
  }
  for (; i < frame.size(); ++i) {
    look(0, frame[i]);
  }
  Extremes extremes{
      .lowest = *std::min_element(low.begin(), low.end()),
      .nonfinite = std::any_of(bad.begin(), bad.end(), [](uint32_t flag) { return flag != 0; })};
  if (extremes.nonfinite) {
    extremes.lowest = 0.0f;
    for (const float value : frame) {
      extremes.lowest = std::isfinite(value) ? std::min(extremes.lowest, value) : extremes.lowest;
    }
  }
  return extremes;
}

void gather(std::span<const float> frame, std::span<const int32_t> table, std::span<float> row) {
  const float* from = frame.data();
  for (size_t i = 0; i < table.size(); ++i) {
    row[i] = table[i] >= 0 ? from[table[i]] : 0.0f;
  }
}

class Packer {
 public:
  Packer(image::FrameSource& source, const PackPlan& plan, int64_t dummy_frames, const Progress& progress,
         Vectors vectors)
      : source_(source), plan_(plan), dummies_(dummy_frames), progress_(progress), vectors_(vectors) {
    const image::NiftiHeader& header = source.header();
    PackedBold& bold = packed_.bold;
    bold.frames = header.frames - dummies_;
    if (dummies_ < 0 || bold.frames < 1) {
      throw Error(message::kTooShort, "No volumes remain after " + std::to_string(dummies_) + " dummies of " +
                                          std::to_string(header.frames) + " volumes.");
    }
    const std::vector<int32_t>& table = plan.interpolates() ? plan.taps->first : plan.gather;
    bold.frame_values = static_cast<int64_t>(table.size());
    bold.values = FrameBuffer(static_cast<size_t>(bold.frames * bold.frame_values) * sizeof(float));
    bold.covered.resize(table.size());
    std::transform(table.begin(), table.end(), bold.covered.begin(),
                   [](int32_t at) { return at >= 0 ? 1 : 0; });
    bold.interpolated = plan.interpolates();
    bold.grid_sum.assign(plan.whole_grid.size(), 0.0);
    bold.grid_nonzero.resize(plan.whole_grid.size());
    std::transform(plan.whole_grid.begin(), plan.whole_grid.end(), bold.grid_nonzero.begin(),
                   [](int32_t at) { return at >= 0 ? 1 : 0; });
    bold.grid_covered = bold.grid_nonzero;
    stored_as_is_ =
        header.datatype == kFloat32 && !header.swapped && header.slope == 1.0 && header.inter == 0.0;
    stride_ = (bold.frames + kSampledFrames - 1) / kSampledFrames;
  }

  Packed run() {
    Slot dummy;
    for (int64_t t = 0; t < dummies_; ++t) {
      read(dummy);
    }
    const size_t tokens =
        std::min<size_t>(8, 2 * static_cast<size_t>(tbb::this_task_arena::max_concurrency()));
    tbb::concurrent_queue<Slot*> free;
    std::vector<std::unique_ptr<Slot>> slots;
    for (size_t i = 0; i < tokens; ++i) {
      slots.push_back(std::make_unique<Slot>());
      free.push(slots.back().get());
    }
    int64_t next = 0;
    const auto inflate = [&](tbb::flow_control& control) -> Slot* {
      Slot* slot = nullptr;
      if (next == packed_.bold.frames) {
        control.stop();
        return slot;
      }
      if (!free.try_pop(slot)) {
        throw Error(message::kBug, "The ring of frames is empty.");
      }
      slot->t = next++;
      read(*slot);
      return slot;
    };
    const auto convert = [&](Slot* slot) {
      place(*slot);
      return slot;
    };
    const auto collect = [&](Slot* slot) {
      add(*slot);
      free.push(slot);
    };
    tbb::parallel_pipeline(tokens,
                           tbb::make_filter<void, Slot*>(tbb::filter_mode::serial_in_order, inflate) &
                               tbb::make_filter<Slot*, Slot*>(tbb::filter_mode::parallel, convert) &
                               tbb::make_filter<Slot*, void>(tbb::filter_mode::serial_in_order, collect));
    packed_.warnings = source_.finish();
    return std::move(packed_);
  }

 private:
  void read(Slot& slot) {
    if (progress_.stop != nullptr && progress_.stop->load()) {
      throw Error(message::kStopped, "Stopped while reading frames; the same call continues.");
    }
    slot.raw.resize((source_.frame_bytes() + sizeof(float) - 1) / sizeof(float));
    source_.next(std::as_writable_bytes(std::span(slot.raw)).first(source_.frame_bytes()));
  }

  void place(Slot& slot) {
    const auto voxels = static_cast<size_t>(plan_.input_size[0] * plan_.input_size[1] * plan_.input_size[2]);
    if (stored_as_is_) {
      slot.frame = std::span<const float>(slot.raw).first(voxels);
    } else {
      slot.values.resize(voxels);
      image::convert_voxels(source_.header(), std::as_bytes(std::span(slot.raw)).first(source_.frame_bytes()),
                            slot.values);
      slot.frame = slot.values;
    }
    const std::span<float> row = packed_.bold.frame(slot.t);
    slot.clamped = 0;
    if (!plan_.interpolates()) {
      gather(slot.frame, plan_.gather, row);
      return;
    }
    const Extremes extremes = extremes_of(slot.frame);
    slot.nonfinite = extremes.nonfinite;
    if (!extremes.nonfinite) {
      prefilter(slot.frame, plan_.input_size, slot.coefficients, vectors_);
      slot.clamped = interpolate(slot.coefficients, *plan_.taps, extremes.lowest, row, vectors_);
      return;
    }
    // A NaN would run along whole lines of the filter: it counts as 0 there, and what its taps touch becomes
    // NaN.
    std::vector<float> finite(slot.frame.begin(), slot.frame.end());
    for (float& value : finite) {
      value = std::isfinite(value) ? value : 0.0f;
    }
    prefilter(finite, plan_.input_size, slot.coefficients, vectors_);
    slot.clamped = interpolate(slot.coefficients, *plan_.taps, extremes.lowest, row, vectors_);
    mark_nonfinite(slot.frame, *plan_.taps, row);
  }

  /// In frame order: counts, and the sum over the whole grid.
  void add(const Slot& slot) {
    PackedBold& bold = packed_.bold;
    bold.clamped += slot.clamped;
    packed_.nonfinite_frames += slot.nonfinite ? 1 : 0;
    if (slot.t % stride_ == 0) {
      const float* from = slot.frame.data();
      for (size_t v = 0; v < plan_.whole_grid.size(); ++v) {
        const int32_t at = plan_.whole_grid[v];
        const float value = at >= 0 ? from[at] : 0.0f;
        const bool finite = std::isfinite(value);
        bold.grid_sum[v] += finite ? static_cast<double>(value) : 0.0;
        bold.grid_nonzero[v] = finite && value != 0.0f ? bold.grid_nonzero[v] : uint8_t{0};
      }
    }
    if (progress_.frames) {
      progress_.frames(slot.t + 1, bold.frames);
    }
  }

  image::FrameSource& source_;
  const PackPlan& plan_;
  int64_t dummies_;
  const Progress& progress_;
  Vectors vectors_;
  Packed packed_;
  bool stored_as_is_ = false;
  int64_t stride_ = 1;
};

}  // namespace

PackPlan plan_pack(const image::VoxelGrid& input, const TokenSet& tokens) {
  PackPlan plan{.input_size = input.size, .gather = {}, .taps = {}, .whole_grid = {}};
  const std::vector<int32_t> values = tokens.voxel_indices();
  const std::vector<int32_t> everything = all_slim_indices();
  if (const std::optional<LatticeMap> map = same_lattice(input)) {
    plan.gather = gather_table(*map, input.size, values);
    plan.whole_grid = gather_table(*map, input.size, everything);
  } else {
    plan.taps = spline_taps(input.size, points_in_voxels(input, values));
    plan.whole_grid = nearest_table(input, everything);
  }
  return plan;
}

Packed pack(image::FrameSource& source, const PackPlan& plan, int64_t dummy_frames, const Progress& progress,
            Vectors vectors) {
  return Packer(source, plan, dummy_frames, progress, vectors).run();
}

}  // namespace slim::preproc
