// SPDX-License-Identifier: Apache-2.0
#include "pipelines/stage1_atlas.h"

#include "clips/roi_labels_file.h"
#include "core/error.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

constexpr const char* kFile = "atlas.safetensors";
constexpr const char* kGridName = "grid";

}  // namespace

void write_stage1_atlas(const fs::path& folder, const model::Stage1Config& stage1,
                        const clips::RoiLabels& labels) {
  if (stage1.atlas != kGridName) {
    clips::write_roi_labels(folder / kFile, labels);
  }
}

clips::RoiLabels stage1_atlas(const fs::path& folder, const model::Stage1Config& stage1) {
  clips::RoiLabels labels =
      stage1.atlas == kGridName ? clips::grid_parcellation() : clips::read_roi_labels(folder / kFile);
  if (labels.sha256 != stage1.atlas_sha256) {
    throw Error(message::kUnfitModel,
                "The regions of the model's stage 1 are not those of its configuration.",
                {.file = folder.string(),
                 .expected = stage1.atlas + " " + stage1.atlas_sha256,
                 .found = labels.name + " " + labels.sha256,
                 .remedy = "copy the model folder again"});
  }
  return labels;
}

}  // namespace slim::pipelines
