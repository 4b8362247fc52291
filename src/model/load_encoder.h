// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/checkpoint/model_folder.h"
#include "model/hiera_encoder.h"

namespace slim::model {

/// The encoder of a model folder, float32 on the CPU, in evaluation mode. open_model has checked that every
/// tensor is there with its shape.
HieraEncoder load_encoder(const ModelFolder& model);

}  // namespace slim::model
