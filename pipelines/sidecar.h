// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "pipelines/job.h"

namespace slim::pipelines {

/// The block `Slimbrain` that every file's sidecar carries: version, stage, hashes, grid, normalisation, ...
struct Provenance {
  std::string stage;
  int epoch = 1;
  std::string hash, parent_hash{};
  nlohmann::json fingerprints;                     // URI -> fingerprint of each direct input
  nlohmann::json more = nlohmann::json::object();  // keys of the stage's own
};
nlohmann::json slimbrain_block(const Provenance& provenance);

/// Keys that every file on the SLIM grid carries: Description, Sources, SpatialReference, Resolution,
/// Slimbrain.
nlohmann::json grid_sidecar(const bids::BoldRun& run, const std::string& description,
                            const nlohmann::json& sources, const nlohmann::json& block);

}  // namespace slim::pipelines
