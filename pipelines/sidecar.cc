// SPDX-License-Identifier: Apache-2.0
#include "pipelines/sidecar.h"

#include "core/token_set.h"
#include "core/version.h"

namespace slim::pipelines {

nlohmann::json slimbrain_block(const Provenance& provenance) {
  nlohmann::json block{{"Version", kVersion},
                       {"Stage", provenance.stage},
                       {"StageEpoch", provenance.epoch},
                       {"ConfigurationHash", provenance.hash},
                       {"InputFingerprints", provenance.fingerprints},
                       {"Grid", kSlimGridName},
                       {"TokenMaskSHA256", packaged_token_set().mask_sha256},
                       {"SDC", "none"}};
  if (!provenance.parent_hash.empty()) {
    block["ParentHash"] = provenance.parent_hash;
  }
  block.update(provenance.more);
  return block;
}

nlohmann::json grid_sidecar(const bids::BoldRun& run, const std::string& description,
                            const nlohmann::json& sources, const nlohmann::json& block) {
  return {{"Description", description},
          {"Sources", sources},
          // The image that defines the grid: our own mean image of the run, in the template's space.
          {"SpatialReference", "bids::" + bids::DerivativeDataset::relative_path(
                                              grid_name(run).with("stat", "mean").with_suffix("boldmap"))},
          {"Resolution", "2 mm isotropic, 96 x 96 x 96 voxels"},
          {"Slimbrain", block}};
}

}  // namespace slim::pipelines
