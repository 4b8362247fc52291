// SPDX-License-Identifier: Apache-2.0
#include "examples/toy_run.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "examples/toy_space.h"

namespace slim::toy {
namespace {

constexpr double kNetworkAmplitude = 0.012;
constexpr double kCommonAmplitude = 0.003;
constexpr double kBlockSeconds = 20.0;
constexpr double kTurnRadiusMm = 50.0;

/// About normal, mean 0, SD 1: a sum of four uniform 16-bit numbers, alike on every machine and quick.
float noise_from(uint64_t bits) {
  const auto sum =
      static_cast<int>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
  return static_cast<float>(sum - 131070) * 2.6428e-5F;  // the sum's SD is 65536 / sqrt(3)
}

/// A few sine waves of random frequency and phase, SD about 1.
class SlowWaves {
 public:
  SlowWaves(Stream& random, double low_hz, double high_hz) {
    for (Wave& wave : waves_) {
      wave.radians_per_s = 2.0 * std::numbers::pi * (low_hz + (high_hz - low_hz) * random.uniform());
      wave.phase = 2.0 * std::numbers::pi * random.uniform();
    }
  }
  double operator()(double seconds) const {
    double sum = 0.0;
    for (const Wave& wave : waves_) {
      sum += std::sin(wave.radians_per_s * seconds + wave.phase);
    }
    return sum * std::sqrt(2.0 / static_cast<double>(waves_.size()));
  }

 private:
  struct Wave {
    double radians_per_s = 0.0, phase = 0.0;
  };
  std::array<Wave, 4> waves_;
};

/// Blocks of on (1) and off (-1) with soft edges, delayed like a blood response.
double blocks_at(double seconds) {
  const double phase = std::numbers::pi * (seconds - 5.0) / kBlockSeconds;
  return std::tanh(4.0 * std::sin(phase));
}

/// Index of a voxel in RAS order: first + step[0] x + step[1] y + step[2] z, for grids along the world's
/// axes.
struct RasOrder {
  int64_t first = 0;
  std::array<int64_t, 3> step{};
};

RasOrder ras_order(const image::VoxelGrid& grid) {
  std::array<size_t, 3> axis_of_world{};
  for (size_t axis = 0; axis < 3; ++axis) {
    for (size_t world = 0; world < 3; ++world) {
      if (grid.scanner_from_voxel[world][axis] != 0.0) {
        axis_of_world[world] = axis;
      }
    }
  }
  RasOrder order;
  int64_t stride = 1;
  for (size_t world = 0; world < 3; ++world) {
    const size_t axis = axis_of_world[world];
    const bool upward = grid.scanner_from_voxel[world][axis] > 0.0;
    order.step[axis] = upward ? stride : -stride;
    order.first += upward ? 0 : stride * (grid.size[axis] - 1);
    stride *= grid.size[axis];
  }
  return order;
}

std::array<double, 3> centre_of(const image::VoxelGrid& grid) {
  return image::apply(grid.scanner_from_voxel, {0.5 * static_cast<double>(grid.size[0] - 1),
                                                0.5 * static_cast<double>(grid.size[1] - 1),
                                                0.5 * static_cast<double>(grid.size[2] - 1)});
}

/// Fractions of the mean by network label (0: none), and the brightness of a frame that is not steady yet.
struct FrameSignal {
  std::array<float, kNetworks.size() + 1> network{};
  float common = 0.0F, brightness = 1.0F;
};

FrameSignal frame_signal(const Scan& scan, size_t frame) {
  FrameSignal signal;
  const Activity& activity = scan.activity[frame];
  for (size_t i = 0; i < kNetworks.size(); ++i) {
    signal.network[i + 1] = static_cast<float>(activity.network[i]);
  }
  signal.common = 1.0F + static_cast<float>(activity.common);
  if (static_cast<int64_t>(frame) < scan.dummy_frames) {
    signal.brightness = 1.0F + 0.4F * std::exp(-1.2F * static_cast<float>(frame));
  }
  return signal;
}

void acquire_frame(const View& seen, const image::VoxelGrid& grid, const FrameSignal& signal,
                   const Scan& scan, const Stream& noise, uint64_t first_word, float* out) {
  const RasOrder order = ras_order(grid);
  const float sd = static_cast<float>(scan.noise) * kGreySignal;
  size_t at = 0;
  for (int64_t z = 0; z < grid.size[2]; ++z) {
    for (int64_t y = 0; y < grid.size[1]; ++y) {
      int64_t place = order.first + order.step[1] * y + order.step[2] * z;
      for (int64_t x = 0; x < grid.size[0]; ++x, ++at, place += order.step[0]) {
        const bool air = seen.bold[at] <= 0.0F;
        if (air && !scan.noisy_air) {
          continue;
        }
        const float change = signal.common + seen.response[at] * signal.network[seen.network[at]];
        const float random = sd * noise_from(noise.word(first_word + static_cast<uint64_t>(place)));
        const float value = kGreySignal * seen.bold[at] * signal.brightness * change + random;
        out[at] =
            std::nearbyint(air ? std::abs(value) : std::max(value, 0.0F));  // a magnitude is never negative
      }
    }
  }
}

}  // namespace

std::vector<Pose> wander(Stream random, int64_t frames, double step_mm) {
  std::vector<Pose> poses(static_cast<size_t>(frames));
  for (size_t frame = 1; frame < poses.size(); ++frame) {
    const double step = step_mm * (random.uniform() < 0.03 ? 8.0 : 1.0);
    for (size_t axis = 0; axis < 3; ++axis) {  // the walk is pulled back a little: heads lie in a coil
      poses[frame].shift_mm[axis] = 0.97 * poses[frame - 1].shift_mm[axis] + step * 0.5 * random.normal();
      poses[frame].angles[axis] =
          0.97 * poses[frame - 1].angles[axis] + step * 0.5 / kTurnRadiusMm * random.normal();
    }
  }
  return poses;
}

std::vector<double> framewise_displacement(const std::vector<Pose>& poses) {
  std::vector<double> result(poses.size(), 0.0);
  for (size_t frame = 1; frame < poses.size(); ++frame) {
    for (size_t axis = 0; axis < 3; ++axis) {
      result[frame] += std::abs(poses[frame].shift_mm[axis] - poses[frame - 1].shift_mm[axis]) +
                       kTurnRadiusMm * std::abs(poses[frame].angles[axis] - poses[frame - 1].angles[axis]);
    }
  }
  return result;
}

image::Affine frame_from_reference(const Pose& pose, const std::array<double, 3>& centre_mm) {
  const image::Affine to_centre =
      similarity({0.0, 0.0, 0.0}, 1.0, {-centre_mm[0], -centre_mm[1], -centre_mm[2]});
  const image::Affine turn_and_shift = similarity(
      pose.angles, 1.0,
      {centre_mm[0] + pose.shift_mm[0], centre_mm[1] + pose.shift_mm[1], centre_mm[2] + pose.shift_mm[2]});
  return image::compose(turn_and_shift, to_centre);
}

std::vector<Activity> oscillate(Stream random, int64_t frames, double repetition_time_s, double planted) {
  const SlowWaves common(random, 0.005, 0.05);
  std::vector<SlowWaves> own;
  for (size_t i = 0; i < kNetworks.size(); ++i) {
    own.emplace_back(random, 0.01, 0.08);
  }
  std::vector<Activity> result(static_cast<size_t>(frames));
  for (size_t frame = 0; frame < result.size(); ++frame) {
    const double seconds = repetition_time_s * static_cast<double>(frame);
    result[frame].common = kCommonAmplitude * common(seconds);
    for (size_t i = 0; i < kNetworks.size(); ++i) {
      const double wave = i == 0 ? blocks_at(seconds) : own[i](seconds);
      result[frame].network[i] = kNetworkAmplitude * wave * (i == kPlantedNetwork ? planted : 1.0);
    }
  }
  return result;
}

std::vector<float> acquire(const Brain& brain, const image::VoxelGrid& grid,
                           const image::Affine& brain_from_scanner, const Scan& scan, const Stream& noise) {
  const auto voxels = static_cast<size_t>(grid.voxels());
  std::vector<float> series(voxels * scan.activity.size(), 0.0F);
  const std::array<double, 3> centre = centre_of(grid);
  View seen;
  for (size_t frame = 0; frame < scan.activity.size(); ++frame) {
    if (frame == 0 || !scan.poses.empty()) {
      const Pose pose = scan.poses.empty() ? Pose{} : scan.poses[frame];
      const image::Affine reference_from_frame = image::inverse(frame_from_reference(pose, centre));
      seen = view(brain, grid, image::compose(brain_from_scanner, reference_from_frame), Fields::Bold);
    }
    acquire_frame(seen, grid, frame_signal(scan, frame), scan, noise, frame * voxels,
                  series.data() + frame * voxels);
  }
  return series;
}

}  // namespace slim::toy
