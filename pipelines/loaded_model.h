// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "clips/clip_store.h"
#include "clips/window.h"
#include "model/checkpoint/model_folder.h"
#include "model/hiera_encoder.h"
#include "pipelines/config.h"
#include "pipelines/rank.h"

namespace slim::pipelines {

/// A model ready to run.
struct LoadedModel {
  model::ModelFolder folder;
  model::HieraEncoder encoder;
  model::Background background;
  at::Device device;
  at::ScalarType dtype;
  int64_t batch;  // clips of a forward pass
  WindowRanking ranking;
};

/// Loads the model of --model on a settled device ("cpu", "cuda:0"). Errors SB4001, SB4002, SB1002.
LoadedModel load_model(const Config& config, const std::filesystem::path& out_dir, const std::string& device);

/// Error SB4002 when the model expects another z-score scope than that of the store of this path.
void check_zscore(const model::ModelFolder& model, const clips::ClipStore& store,
                  const std::filesystem::path& path);

/// Reads clips into one packed batch [clips, 40, tokens, 64], float16, CPU.
at::Tensor read_clips(const clips::ClipStore& store, std::span<const clips::ClipFrames> chosen);

/// Features of clips, [clips][width], batch by batch. `progress` takes (done, total) of clips. Errors SB6001
/// when stopped, SB4002 for values that are not finite.
std::vector<std::vector<float>> features_of(const LoadedModel& model, const clips::ClipStore& store,
                                            const std::vector<clips::ClipFrames>& chosen,
                                            const std::atomic<bool>& stop,
                                            const std::function<void(int64_t, int64_t)>& progress);

/// How a model chooses clips. Errors SB1002 for an unknown ranker, SB4001 for one that needs weights which
/// the model lacks.
WindowRanking ranking_of(const Config& config, const model::ModelFolder& folder);

/// The mode of --background, else the model's own. Error SB1002.
model::Background background_of(const Config& config, const model::ModelFolder& folder);

/// fp32, or bf16 on CUDA. Error SB1002 for another word.
at::ScalarType precision_of(const std::string& word, const at::Device& device);

}  // namespace slim::pipelines
