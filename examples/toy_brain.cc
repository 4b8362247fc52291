// SPDX-License-Identifier: Apache-2.0
#include "examples/toy_brain.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "examples/toy_depth.h"
#include "examples/toy_space.h"

namespace slim::toy {
namespace {

using image::Affine;
using image::apply;
using image::compose;
using image::inverse;
using image::VoxelGrid;

constexpr double kCanvasMm = 2.0;
constexpr Point kCanvasLow{-104.0, -144.0, -100.0};  // even, so that voxels coincide with the SLIM grid's
constexpr Point kCanvasHigh{104.0, 110.0, 120.0};
constexpr float kAirDepthMm = -99.0F;

/// 0 below low, 1 above high, linear between.
double ramp(double value, double low, double high) {
  return std::clamp((value - low) / (high - low), 0.0, 1.0);
}

double distance(const Point& a, const Point& b) { return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]); }

/// 1 at an ellipsoid's centre, 0 on its surface, negative outside; mirrored in x.
double inside_pair(const Point& p, const Point& centre, const Point& radius) {
  return 1.0 - std::hypot((std::abs(p[0]) - centre[0]) / radius[0], (p[1] - centre[1]) / radius[1],
                          (p[2] - centre[2]) / radius[2]);
}

/// Where a point falls between voxels; weights are products of the fractions.
struct Cell {
  std::array<int64_t, 3> low{};
  std::array<float, 3> fraction{};
  bool covered = false;
};

Cell locate(const std::array<int64_t, 3>& size, const Point& voxel) {
  Cell cell;
  cell.covered = true;
  for (size_t axis = 0; axis < 3; ++axis) {
    const double floor = std::floor(voxel[axis]);
    cell.low[axis] = static_cast<int64_t>(floor);
    cell.fraction[axis] = static_cast<float>(voxel[axis] - floor);
    cell.covered = cell.covered && cell.low[axis] >= 0 && cell.low[axis] + 1 < size[axis];
  }
  return cell;
}

float interpolate(const std::vector<float>& field, const std::array<int64_t, 3>& size, const Cell& cell) {
  const float* const corner = field.data() + cell.low[0] + size[0] * (cell.low[1] + size[1] * cell.low[2]);
  const int64_t dy = size[0], dz = size[0] * size[1];
  const auto edge = [&](const float* p) { return p[0] + cell.fraction[0] * (p[1] - p[0]); };
  const float front = edge(corner) + cell.fraction[1] * (edge(corner + dy) - edge(corner));
  const float back = edge(corner + dz) + cell.fraction[1] * (edge(corner + dz + dy) - edge(corner + dz));
  return front + cell.fraction[2] * (back - front);
}

/// A smooth random field: a few waves of 70 to 160 mm, values about -1..1.
class Waves {
 public:
  explicit Waves(Stream& random) {
    for (Wave& wave : waves_) {
      const double number = 2.0 * std::numbers::pi / (70.0 + 90.0 * random.uniform());
      Point direction{random.normal(), random.normal(), random.normal()};
      const double length = distance(direction, {0.0, 0.0, 0.0});
      for (size_t axis = 0; axis < 3; ++axis) {
        wave.vector[axis] = number * direction[axis] / length;
      }
      wave.phase = 2.0 * std::numbers::pi * random.uniform();
    }
  }
  double operator()(const Point& p) const {
    double sum = 0.0;
    for (const Wave& wave : waves_) {
      sum += std::sin(wave.vector[0] * p[0] + wave.vector[1] * p[1] + wave.vector[2] * p[2] + wave.phase);
    }
    return sum / static_cast<double>(waves_.size());
  }

 private:
  struct Wave {
    Point vector{};
    double phase = 0.0;
  };
  std::array<Wave, 3> waves_;
};

/// Shares of a voxel; what is missing to 1 is white matter.
struct Tissue {
  double csf = 0.0, grey = 0.0;
};

/// Cortex follows the surface, the walls of sulci and the fissure between the hemispheres; nuclei and
/// ventricles lie deep.
Tissue tissue_at(const Point& p, double depth_mm) {
  const bool cerebellum = p[2] < -18.0 - 0.25 * (p[1] + 45.0) && p[1] < -38.0;
  const double f = cerebellum ? 1.9 : 1.0;
  const double folds = std::sin(f * p[0] / 4.6 + 1.8 * std::sin(p[1] / 17.0 + p[2] / 21.0)) +
                       std::sin(f * p[1] / 5.2 + 1.8 * std::sin(p[2] / 19.0 + std::abs(p[0]) / 15.0)) +
                       std::sin(f * p[2] / 4.9 + 1.8 * std::sin(std::abs(p[0]) / 18.0 + p[1] / 23.0));
  const double wall_mm = 4.2 / f * std::abs(folds) + std::max(0.0, depth_mm - (cerebellum ? 18.0 : 13.0));
  const double from_callosum = std::hypot((p[1] + 14.0) / 1.35, p[2] - 8.0);
  const double fissure_mm = cerebellum ? 99.0 : std::abs(p[0]) + std::max(0.0, 26.0 - from_callosum);
  const double cortex_mm = std::min({depth_mm, wall_mm + 0.9, fissure_mm});
  Tissue tissue;
  tissue.csf = 1.0 - ramp(cortex_mm, 0.0, 1.8);
  tissue.grey = (1.0 - tissue.csf) * (1.0 - ramp(cortex_mm, 3.2, 5.2));
  const double nuclei = std::max({inside_pair(p, {11.0, -18.0, 7.0}, {9.0, 14.0, 9.0}),   // thalamus
                                  inside_pair(p, {26.0, 2.0, 1.0}, {6.0, 17.0, 11.0}),    // putamen
                                  inside_pair(p, {14.0, 16.0, 7.0}, {5.0, 9.0, 10.0})});  // caudate
  const double ventricle = std::max({inside_pair(p, {8.0, 4.0, 16.0}, {5.0, 26.0, 8.0}),
                                     inside_pair(p, {20.0, -40.0, 12.0}, {7.0, 14.0, 8.0}),
                                     inside_pair(p, {0.0, -24.0, 2.0}, {2.5, 14.0, 10.0})});
  const double nuclear = ramp(nuclei, 0.0, 0.2), wet = ramp(ventricle, 0.0, 0.25);
  tissue.grey = std::max(tissue.grey, nuclear * (1.0 - tissue.csf));
  tissue.csf = std::max(tissue.csf, wet);
  tissue.grey *= 1.0 - wet;
  return tissue;
}

/// The network that owns a point (1 + its place), 0 for none.
uint8_t network_at(const Point& p) {
  for (size_t i = 0; i < kNetworks.size(); ++i) {
    const Network& network = kNetworks[i];
    const Point folded{network.mirrored ? std::abs(p[0]) : p[0], p[1], p[2]};
    if (distance(folded, network.centre_mm) < network.radius_mm) {
      return static_cast<uint8_t>(i + 1);
    }
  }
  return 0;
}

/// What a voxel looks like in both contrasts.
struct Look {
  double bold = 0.0, t1w = 0.0, grey = 0.0;
};

/// How one participant differs from the average.
class Person {
 public:
  Person(Stream& random, double variation)
      : variation_(variation),
        shift_{Waves(random), Waves(random), Waves(random)},
        shading_(random),
        thickness_(random) {
    csf_bold_ = 1.3 + 0.05 * variation * random.normal();
    white_bold_ = 0.8 + 0.03 * variation * random.normal();
  }
  Point average_from_own(const Point& p) const {
    const double mm = 3.0 * variation_;
    return {p[0] + mm * shift_[0](p), p[1] + mm * shift_[1](p), p[2] + mm * shift_[2](p)};
  }
  Look look(const Point& p, const Point& q, double depth_mm) const {
    const Tissue tissue = tissue_at(q, depth_mm + 0.5 * variation_ * thickness_(p));
    const double white = 1.0 - tissue.csf - tissue.grey;
    const double brain = ramp(depth_mm, -1.5, 0.5), head = 1.0 - ramp(-depth_mm, 13.0, 14.5);
    const double scalp = ramp(-depth_mm, 6.0, 7.5) * head;
    const double mark = ramp(kLandmarkRadiusMm - distance(p, kLandmarkMm), -1.0, 1.0);
    const double shade = 1.0 + 0.2 * (0.4 + 0.6 * variation_) * shading_(p);
    // Air near the sinuses and the ears eats the signal of an EPI.
    const Point ear{54.0, -20.0, -38.0};
    const double lost = 0.55 * ramp(26.0 - distance(p, {0.0, 42.0, -26.0}), 0.0, 20.0) +
                        0.4 * ramp(20.0 - distance({std::abs(p[0]), p[1], p[2]}, ear), 0.0, 16.0);
    const double bold =
        (csf_bold_ * tissue.csf + tissue.grey + white_bold_ * white) * (1.0 - lost) * (1.0 + 0.7 * mark);
    const double t1w = 0.28 * tissue.csf + 0.66 * tissue.grey + white + 0.8 * mark;
    return {.bold = shade * (brain * bold + (1.0 - brain) * 0.28 * scalp),
            .t1w = shade * (brain * t1w + (1.0 - brain) * (0.09 * head + 0.75 * scalp)),
            .grey = tissue.grey};
  }

 private:
  double variation_, csf_bold_ = 0.0, white_bold_ = 0.0;
  std::array<Waves, 3> shift_;
  Waves shading_, thickness_;
};

}  // namespace

Brain make_brain(Stream random, double variation) {
  Brain brain;
  brain.grid = box_grid("RAS", kCanvasLow, kCanvasHigh, kCanvasMm);
  const auto count = static_cast<size_t>(brain.grid.voxels());
  static const std::vector<float> average_depth = packaged_depth(brain.grid);
  const Person person(random, variation);
  const Affine canvas_from_mni = inverse(brain.grid.scanner_from_voxel);
  brain.depth_mm.assign(count, kAirDepthMm);
  for (std::vector<float>* field : {&brain.bold, &brain.t1w, &brain.response}) {
    field->assign(count, 0.0F);
  }
  brain.network.assign(count, 0);
  for_each_voxel(brain.grid, [&](size_t at, const Point& voxel) {
    const Point p = apply(brain.grid.scanner_from_voxel, voxel);
    if (average_depth[at] < -22.0F) {
      return;  // air
    }
    const Point q = person.average_from_own(p);
    const Cell cell = locate(brain.grid.size, apply(canvas_from_mni, q));
    if (!cell.covered) {
      return;
    }
    const auto depth = static_cast<double>(interpolate(average_depth, brain.grid.size, cell));
    const Look look = person.look(p, q, depth);
    brain.depth_mm[at] = static_cast<float>(depth);
    brain.bold[at] = static_cast<float>(look.bold);
    brain.t1w[at] = static_cast<float>(look.t1w);
    brain.network[at] = depth > 0.0 ? network_at(q) : uint8_t{0};
    brain.response[at] = brain.network[at] != 0 ? static_cast<float>(0.25 + 0.75 * look.grey) : 0.0F;
  });
  return brain;
}

void weaken(Brain& brain, double share) {
  for_each_voxel(brain.grid, [&](size_t at, const Point& voxel) {
    const double inside_mm = kLossRadiusMm - distance(apply(brain.grid.scanner_from_voxel, voxel), kLossMm);
    brain.bold[at] *= static_cast<float>(1.0 - share * ramp(inside_mm, 0.0, 4.0));
  });
}

View view(const Brain& brain, const VoxelGrid& grid, const Affine& brain_from_scanner, Fields fields) {
  const Affine canvas_from_voxel =
      compose(inverse(brain.grid.scanner_from_voxel), compose(brain_from_scanner, grid.scanner_from_voxel));
  const auto count = static_cast<size_t>(grid.voxels());
  const bool bold = fields == Fields::Bold;
  View result;
  result.depth_mm.assign(count, kAirDepthMm);
  result.t1w.assign(bold ? 0 : count, 0.0F);
  result.bold.assign(bold ? count : 0, 0.0F);
  result.response.assign(bold ? count : 0, 0.0F);
  result.network.assign(bold ? count : 0, 0);
  const std::array<int64_t, 3>& size = brain.grid.size;
  for_each_voxel(grid, [&](size_t at, const Point& voxel) {
    const Cell cell = locate(size, apply(canvas_from_voxel, voxel));
    if (!cell.covered) {
      return;
    }
    result.depth_mm[at] = interpolate(brain.depth_mm, size, cell);
    if (!bold) {
      result.t1w[at] = interpolate(brain.t1w, size, cell);
      return;
    }
    result.bold[at] = interpolate(brain.bold, size, cell);
    result.response[at] = interpolate(brain.response, size, cell);
    std::array<int64_t, 3> near = cell.low;
    for (size_t axis = 0; axis < 3; ++axis) {
      near[axis] += cell.fraction[axis] >= 0.5F ? 1 : 0;
    }
    result.network[at] =
        brain.network[static_cast<size_t>(near[0] + size[0] * (near[1] + size[1] * near[2]))];
  });
  return result;
}

}  // namespace slim::toy
