// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/group.h"

namespace slim::pipelines {

/// Puts a head for --target on the model of --model and writes OUT_DIR/models/model-<model><Target>: a linear
/// head on the frozen encoder, or encoder and head trained together (--head finetune; a training that was
/// stopped goes on). Test participants are not looked at. Errors of plan_tuning, linear_head and
/// tuned_encoder.
void run_finetune(const GroupJob& job);

}  // namespace slim::pipelines
