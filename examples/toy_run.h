// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/seed.h"
#include "examples/toy_brain.h"

namespace slim::toy {

/// Where the head is in a frame against the first one: x_frame = Rz Ry Rx (x - centre) + centre + shift.
struct Pose {
  std::array<double, 3> shift_mm{};
  std::array<double, 3> angles{};  // rad, about x, y, z
};
/// A random walk with a few larger jumps; step_mm is the usual step per frame (and 1 degree for 50 mm of it).
std::vector<Pose> wander(Stream random, int64_t frames, double step_mm);
/// Power's framewise displacement in mm (sum of shifts, turns on a sphere of 50 mm); 0 in the first frame.
std::vector<double> framewise_displacement(const std::vector<Pose>& poses);
/// The pose as a map of points about a centre.
image::Affine frame_from_reference(const Pose& pose, const std::array<double, 3>& centre_mm);

/// Fluctuations of a frame as fractions of a voxel's mean: of all voxels together and of each network.
struct Activity {
  double common = 0.0;
  std::array<double, kNetworks.size()> network{};
};
/// The visual network follows blocks of 20 s on and 20 s off, the others slow waves of 0.01 to 0.08 Hz of
/// their own. planted scales kPlantedNetwork.
std::vector<Activity> oscillate(Stream random, int64_t frames, double repetition_time_s, double planted);

/// What a scan adds to the brain.
struct Scan {
  std::vector<Activity> activity;
  std::vector<Pose> poses;   // empty: the head lies still
  int64_t dummy_frames = 0;  // leading frames before the magnetisation is steady: brighter
  double noise = 0.01;       // SD as a share of grey matter's mean
  bool noisy_air = false;    // as in raw images; else air is 0
};
inline constexpr float kGreySignal = 2000.0F;

/// The series a scanner stores: whole numbers, [frames][z][y][x]. A voxel's noise depends on its place in
/// space, not on the order of storage, so that two orientations hold the same image.
std::vector<float> acquire(const Brain& brain, const image::VoxelGrid& grid,
                           const image::Affine& brain_from_scanner, const Scan& scan, const Stream& noise);

}  // namespace slim::toy
