// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/seed.h"
#include "image/voxel_grid.h"

namespace slim::toy {

/// A bright ball in the left hemisphere of every brain: whoever finds it at x > 0 has mixed up left and
/// right.
inline constexpr std::array<double, 3> kLandmarkMm{-34.0, 30.0, 30.0};
inline constexpr double kLandmarkRadiusMm = 7.0;

/// A ball of grey matter with a time course of its own; mirrored ones have a twin in the other hemisphere.
struct Network {
  std::string_view name;
  std::array<double, 3> centre_mm;  // MNI, RAS+
  double radius_mm;
  bool mirrored;
};
inline constexpr std::array<Network, 5> kNetworks{{{"visual", {12.0, -82.0, 6.0}, 18.0, true},
                                                   {"sensorimotor", {38.0, -24.0, 54.0}, 15.0, true},
                                                   {"default", {6.0, -54.0, 30.0}, 14.0, true},
                                                   {"rightFrontal", {40.0, 34.0, 18.0}, 14.0, false},
                                                   {"leftTemporal", {-54.0, -22.0, -6.0}, 15.0, false}}};
/// The network whose amplitude tells group and age.
inline constexpr size_t kPlantedNetwork = 4;

/// The place in the left temporal lobe where patients' BOLD signal is weak in every frame, as iron of an old
/// bleed shortens T2*: a ball, wider than the network there.
inline constexpr std::array<double, 3> kLossMm{-50.0, -20.0, -12.0};
inline constexpr double kLossRadiusMm = 24.0;

/// A participant's anatomy in MNI space on a 2 mm lattice large enough for head and brain, x fastest.
struct Brain {
  image::VoxelGrid grid;
  std::vector<float> depth_mm;   // below the brain's surface; negative outside
  std::vector<float> bold;       // temporal mean, grey matter about 1; 0 is air
  std::vector<float> t1w;        // white matter about 1; with skull and scalp
  std::vector<float> response;   // 0..1: how much a voxel follows its network
  std::vector<uint8_t> network;  // 1 + place in kNetworks; 0 is none
};

/// Grows a brain on the packaged brain mask. variation 0 is the average shape; 1 displaces it smoothly by 1-2
/// mm and shades it; the stream says how.
Brain make_brain(Stream random, double variation);

/// Takes a share (0..1) of the BOLD signal of the ball at kLossMm away; the share fades over its outer 4 mm.
void weaken(Brain& brain, double share);

/// The part of a brain that a scanner sees: its fields at the voxels of a grid.
struct View {
  std::vector<float> bold, t1w, response, depth_mm;
  std::vector<uint8_t> network;
};
enum class Fields { Bold, T1w };
/// Samples (linearly) at brain_from_scanner(voxel centre in mm); what lies outside the lattice is air.
View view(const Brain& brain, const image::VoxelGrid& grid, const image::Affine& brain_from_scanner,
          Fields fields);

}  // namespace slim::toy
