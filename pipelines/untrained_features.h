// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/checkpoint/model_folder.h"
#include "pipelines/embedding_features.h"

namespace slim::pipelines {

/// Features of the same clips by an encoder of the model's shape with initial weights (seed 1); those of runs
/// that are done stay in OUT_DIR/.slimbrain. Errors of features_of; SB4003 for the device, SB6001 when
/// stopped.
EmbeddingFeatures untrained_features(const GroupJob& job, const model::ModelFolder& model,
                                     const EmbeddingFeatures& trained);

}  // namespace slim::pipelines
