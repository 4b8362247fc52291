// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "pipelines/atlas.h"
#include "pipelines/attribute_run.h"
#include "pipelines/job.h"

namespace slim::pipelines {

/// A run's finished map and what must be said about it.
struct SaliencyMap {
  const bids::BoldRun& run;
  std::string method;    // intgrad or gradxinput
  std::string baseline;  // where integrated gradients begin, for people
  const model::HeadTarget& target;
  const Explained& explained;
  std::vector<double> values;        // [tokens * 64], store order
  std::span<const uint8_t> valid;    // bits of the run's valid voxels
  std::vector<std::string> banners;  // sentences that whoever sees the map must see too
  nlohmann::json block;              // Slimbrain, of the sidecars
};

/// Tables of regions, the map on the grid of the run's own image where that is wanted, and, as the primary
/// file, the map on the SLIM grid.
std::vector<bids::DerivativeFile> saliency_files(const SaliencyMap& map, const std::vector<Atlas>& atlases,
                                                 bool source_too);

/// `<g>_stat-<method>_desc-<target>_boldmap.nii.gz`
bids::BidsName saliency_name(const bids::BoldRun& run, const std::string& method, const std::string& target);

}  // namespace slim::pipelines
