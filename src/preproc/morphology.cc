// SPDX-License-Identifier: Apache-2.0
#include "preproc/morphology.h"

#include <algorithm>
#include <utility>

namespace slim::preproc {
namespace {

constexpr double kSmallestBrainMl = 500.0, kLargestBrainMl = 2500.0;

/// Calls `visit(neighbour index)` for the 6-neighbours inside the lattice; returns how many there are.
template <class Visit>
int for_neighbours(const std::array<int64_t, 3>& size, int64_t index, const Visit& visit) {
  const std::array<int64_t, 3> step{1, size[0], size[0] * size[1]};
  const std::array<int64_t, 3> at{index % size[0], index / size[0] % size[1], index / step[2]};
  int neighbours = 0;
  for (size_t a = 0; a < 3; ++a) {
    if (at[a] > 0) {
      visit(static_cast<size_t>(index - step[a]));
      ++neighbours;
    }
    if (at[a] < size[a] - 1) {
      visit(static_cast<size_t>(index + step[a]));
      ++neighbours;
    }
  }
  return neighbours;
}

/// Sets everything to `value` that has a neighbour of that value.
GridMask grown(GridMask mask, int steps, uint8_t value) {
  for (int step = 0; step < steps; ++step) {
    const std::vector<uint8_t> before = mask.inside;
    for (size_t v = 0; v < before.size(); ++v) {
      if (before[v] == value) {
        continue;
      }
      bool touched = false;
      const int neighbours = for_neighbours(mask.size, static_cast<int64_t>(v),
                                            [&](size_t n) { touched = touched || before[n] == value; });
      if (touched || (value == 0 && neighbours < 6)) {  // beyond the border lies 0
        mask.inside[v] = value;
      }
    }
  }
  return mask;
}

/// Voxels of `value` connected to `seed`, marked in `seen`; returns them.
std::vector<size_t> component(const GridMask& mask, size_t seed, uint8_t value, std::vector<uint8_t>& seen) {
  std::vector<size_t> members{seed};
  seen[seed] = 1;
  for (size_t next = 0; next < members.size(); ++next) {
    for_neighbours(mask.size, static_cast<int64_t>(members[next]), [&](size_t n) {
      if (mask.inside[n] == value && seen[n] == 0) {
        seen[n] = 1;
        members.push_back(n);
      }
    });
  }
  return members;
}

GridMask above(std::span<const double> image, const std::array<int64_t, 3>& size, double threshold) {
  GridMask mask{.size = size, .inside = std::vector<uint8_t>(image.size())};
  std::transform(image.begin(), image.end(), mask.inside.begin(),
                 [&](double v) { return v > threshold ? 1 : 0; });
  return holes_filled(eroded(dilated(largest_component(eroded(std::move(mask), 2)), 4), 2));
}

}  // namespace

int64_t GridMask::count() const {
  return std::count_if(inside.begin(), inside.end(), [](uint8_t flag) { return flag != 0; });
}

GridMask eroded(GridMask mask, int steps) { return grown(std::move(mask), steps, 0); }
GridMask dilated(GridMask mask, int steps) { return grown(std::move(mask), steps, 1); }

GridMask largest_component(const GridMask& mask) {
  std::vector<uint8_t> seen(mask.inside.size(), 0);
  std::vector<size_t> largest;
  for (size_t v = 0; v < mask.inside.size(); ++v) {
    if (mask.inside[v] != 0 && seen[v] == 0) {
      std::vector<size_t> members = component(mask, v, 1, seen);
      if (members.size() > largest.size()) {
        largest = std::move(members);
      }
    }
  }
  GridMask out{.size = mask.size, .inside = std::vector<uint8_t>(mask.inside.size(), 0)};
  for (const size_t v : largest) {
    out.inside[v] = 1;
  }
  return out;
}

GridMask holes_filled(GridMask mask) {
  std::vector<uint8_t> outside(mask.inside.size(), 0);
  for (size_t v = 0; v < mask.inside.size(); ++v) {
    const int neighbours = for_neighbours(mask.size, static_cast<int64_t>(v), [](size_t) {});
    if (neighbours < 6 && mask.inside[v] == 0 && outside[v] == 0) {
      component(mask, v, 0, outside);
    }
  }
  std::transform(outside.begin(), outside.end(), mask.inside.begin(),
                 [](uint8_t out) { return out != 0 ? 0 : 1; });
  return mask;
}

double dice(const GridMask& a, const GridMask& b) {
  int64_t shared = 0;
  for (size_t v = 0; v < a.inside.size(); ++v) {
    shared += a.inside[v] != 0 && b.inside[v] != 0 ? 1 : 0;
  }
  const int64_t total = a.count() + b.count();
  return total > 0 ? 2.0 * static_cast<double>(shared) / static_cast<double>(total) : 0.0;
}

std::array<double, 3> centre_of(const GridMask& mask) {
  std::array<double, 3> sum{};
  const double count = static_cast<double>(std::max<int64_t>(1, mask.count()));
  for (size_t v = 0; v < mask.inside.size(); ++v) {
    if (mask.inside[v] != 0) {
      const auto at = static_cast<int64_t>(v);
      sum[0] += static_cast<double>(at % mask.size[0]);
      sum[1] += static_cast<double>(at / mask.size[0] % mask.size[1]);
      sum[2] += static_cast<double>(at / (mask.size[0] * mask.size[1]));
    }
  }
  return {sum[0] / count, sum[1] / count, sum[2] / count};
}

GridMask epi_mask(std::span<const double> image, std::span<const uint8_t> covered,
                  const std::array<int64_t, 3>& size, double voxel_ml) {
  std::vector<double> sorted;
  for (size_t v = 0; v < image.size(); ++v) {
    if (covered[v] != 0) {
      sorted.push_back(image[v]);
    }
  }
  std::sort(sorted.begin(), sorted.end());
  const auto rank = [&](double share) {
    return static_cast<size_t>(share * static_cast<double>(sorted.size()));
  };
  double threshold = 0.0, widest = -1.0;
  for (size_t i = rank(0.20); i + 1 < sorted.size() && i < rank(0.85); ++i) {
    if (sorted[i + 1] - sorted[i] > widest) {
      widest = sorted[i + 1] - sorted[i];
      threshold = 0.5 * (sorted[i] + sorted[i + 1]);
    }
  }
  for (int attempt = 0; attempt < 20; ++attempt) {
    GridMask mask = above(image, size, threshold);
    const double volume_ml = static_cast<double>(mask.count()) * voxel_ml;
    if (volume_ml >= kSmallestBrainMl && volume_ml <= kLargestBrainMl) {
      return mask;
    }
    const auto brighter = std::upper_bound(sorted.begin(), sorted.end(), threshold);
    if (brighter == sorted.end()) {
      break;
    }
    const double half_median = 0.5 * *(brighter + (sorted.end() - brighter) / 2);
    if (half_median == threshold) {
      break;
    }
    threshold = half_median;
  }
  return GridMask{.size = size, .inside = std::vector<uint8_t>(image.size(), 0)};
}

}  // namespace slim::preproc
