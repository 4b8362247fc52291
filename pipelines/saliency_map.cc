// SPDX-License-Identifier: Apache-2.0
#include "pipelines/saliency_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/token_set.h"
#include "evaluate/metrics.h"
#include "pipelines/model_stage.h"
#include "preproc/resample.h"

namespace slim::pipelines {
namespace {

bool is_valid(std::span<const uint8_t> valid, size_t value) {
  return (valid[value / 8] >> (value % 8) & 1U) != 0;
}

/// Ranks from 1, equal values sharing their mean rank.
std::vector<double> ranks_of(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    while (last < order.size() && values[order[last]] == values[order[first]]) {
      ++last;
    }
    for (size_t i = first; i < last; ++i) {
      ranks[order[i]] = 0.5 * static_cast<double>(first + 1 + last);
    }
    first = last;
  }
  return ranks;
}

struct Region {
  int64_t voxels = 0;
  double sum = 0.0, sum_abs = 0.0;
};

std::vector<Region> regions_of(const clips::RoiLabels& labels, std::span<const double> map,
                               std::span<const uint8_t> valid) {
  std::vector<Region> regions(static_cast<size_t>(labels.rows()));
  for (size_t v = 0; v < map.size(); ++v) {
    if (labels.row_of_value[v] >= 0 && is_valid(valid, v)) {
      Region& region = regions[static_cast<size_t>(labels.row_of_value[v])];
      ++region.voxels;
      region.sum += map[v];
      region.sum_abs += std::fabs(map[v]);
    }
  }
  return regions;
}

}  // namespace

std::vector<float> on_slim_grid(std::span<const double> map, std::span<const uint8_t> valid) {
  const std::vector<int32_t> places = packaged_token_set().voxel_indices();
  std::vector<float> image(static_cast<size_t>(kSlimVoxels), 0.0F);
  for (size_t v = 0; v < map.size(); ++v) {
    if (is_valid(valid, v)) {
      image[static_cast<size_t>(places[v])] = static_cast<float>(map[v]);
    }
  }
  return image;
}

std::vector<float> on_other_grid(std::span<const float> slim_map, const image::VoxelGrid& grid) {
  const image::Affine slim_from_voxel =
      image::compose(image::inverse(image::slim_grid().scanner_from_voxel), grid.scanner_from_voxel);
  std::vector<float> out;
  out.reserve(static_cast<size_t>(grid.voxels()));
  // Slice by slice: the points of a fine grid would take 24 bytes a voxel.
  std::vector<std::array<double, 3>> points(static_cast<size_t>(grid.size[0] * grid.size[1]));
  for (int64_t z = 0; z < grid.size[2]; ++z) {
    size_t i = 0;
    for (int64_t y = 0; y < grid.size[1]; ++y) {
      for (int64_t x = 0; x < grid.size[0]; ++x) {
        points[i++] = image::apply(slim_from_voxel,
                                   {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
      }
    }
    const std::vector<float> slice =
        preproc::interpolate_linear(slim_map, {kSlimSize, kSlimSize, kSlimSize}, points);
    out.insert(out.end(), slice.begin(), slice.end());
  }
  return out;
}

std::string region_table(const Atlas& atlas, std::span<const double> map, std::span<const uint8_t> valid) {
  const std::vector<Region> regions = regions_of(atlas.labels, map, valid);
  double total = 0.0;  // regions need not cover the brain
  for (size_t v = 0; v < map.size(); ++v) {
    total += is_valid(valid, v) ? std::fabs(map[v]) : 0.0;
  }
  std::vector<size_t> order(regions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return regions[a].sum_abs > regions[b].sum_abs; });
  std::vector<size_t> rank(regions.size());
  for (size_t place = 0; place < order.size(); ++place) {
    rank[order[place]] = place + 1;
  }
  std::string text = "index\tname\tn_voxels\tmean\tmean_abs\tshare\trank\n";
  for (size_t r = 0; r < regions.size(); ++r) {
    const int32_t label = atlas.labels.labels[r];
    const Region& region = regions[r];
    const auto per_voxel = [&](double sum) {
      return region.voxels == 0 ? std::string("n/a") : number_cell(sum / static_cast<double>(region.voxels));
    };
    text += std::to_string(label) + "\t" + atlas.names.at(label) + "\t" + std::to_string(region.voxels) +
            "\t" + per_voxel(region.sum) + "\t" + per_voxel(region.sum_abs) + "\t" +
            (total > 0.0 ? number_cell(region.sum_abs / total) : "n/a") + "\t" + std::to_string(rank[r]) +
            "\n";
  }
  return text;
}

double rank_correlation_of_abs(std::span<const double> a, std::span<const double> b,
                               std::span<const uint8_t> valid) {
  std::vector<double> first, second;
  for (size_t v = 0; v < a.size(); ++v) {
    if (is_valid(valid, v)) {
      first.push_back(std::fabs(a[v]));
      second.push_back(std::fabs(b[v]));
    }
  }
  return evaluate::pearson_r(ranks_of(first), ranks_of(second)).value_or(0.0);
}

}  // namespace slim::pipelines
