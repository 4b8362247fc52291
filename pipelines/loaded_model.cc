// SPDX-License-Identifier: Apache-2.0
#include "pipelines/loaded_model.h"

#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "model/checkpoint/model_tool.h"
#include "model/load_encoder.h"
#include "pipelines/atlas.h"
#include "pipelines/model_choice.h"
#include "pipelines/stage1_atlas.h"

namespace fs = std::filesystem;

namespace slim::pipelines {

WindowRanking ranking_of(const Config& config, const model::ModelFolder& folder) {
  const std::optional<model::Stage1Config>& stage1 = folder.config.stage1;
  // A head says most about clips chosen as those that it learnt from.
  const std::string ranker = !config.embed.ranker.empty() ? config.embed.ranker
                             : folder.card.tuning         ? folder.card.tuning->ranker
                             : stage1                     ? "mutual_source"
                                                          : "all";
  if (config.train.seed < 0) {
    throw Error(message::kBadValue, "A seed is not negative.", {.found = std::to_string(config.train.seed)});
  }
  WindowRanking ranking{
      .options = {.ranker = clips::ranker_from(ranker), .seed = static_cast<uint64_t>(config.train.seed)},
      .model = folder.card.name,
      .model_note = model::untrained_note(folder.card)};
  if (clips::needs_stage1(ranking.options.ranker)) {
    if (stage1) {
      ranking.network = model::load_global_mae(folder.weights, stage1->network);
      ranking.atlas_sha256 = stage1->atlas_sha256;
      ranking.labels = stage1_atlas(folder.path, *stage1);
    }
  } else if (clips::has_scores(ranking.options.ranker)) {
    ranking.labels = atlases_of(config).front().labels;
  }
  return complete_ranking(std::move(ranking));
}

model::Background background_of(const Config& config, const model::ModelFolder& folder) {
  return model::background_from(config.embed.background.empty() ? folder.config.background
                                                                : config.embed.background);
}

at::ScalarType precision_of(const std::string& word, const at::Device& device) {
  if (word == "fp32") {
    return at::kFloat;
  }
  if (word == "bf16" && device.is_cuda()) {
    return at::kBFloat16;
  }
  throw Error(message::kBadValue,
              "--precision " + word + " is not valid on " + device.str() + ": use fp32, or bf16 on CUDA.");
}

LoadedModel load_model(const Config& config, const fs::path& out_dir, const std::string& device_name) {
  model::ModelFolder folder = model::open_model(find_model(config.embed.model, out_dir));
  const at::Device device(device_name);
  const at::ScalarType dtype = precision_of(config.resources.precision, device);
  const model::Background background = background_of(config, folder);
  model::HieraEncoder encoder = model::load_encoder(folder);
  encoder->to(device, dtype);
  const int64_t batch = config.resources.batch_size.value_or(device.is_cuda() ? 16 : 1);
  WindowRanking ranking = ranking_of(config, folder);
  if (!ranking.network.is_empty()) {
    ranking.network->to(device);
  }
  return {std::move(folder), std::move(encoder), background, device, dtype, batch, std::move(ranking)};
}

at::Tensor read_clips(const clips::ClipStore& store, std::span<const clips::ClipFrames> chosen) {
  const int64_t values = store.frame_values();
  at::Tensor batch = at::empty(
      {static_cast<int64_t>(chosen.size()), kClipFrames, values / kTokenVoxels, kTokenVoxels}, at::kHalf);
  auto* out = reinterpret_cast<uint16_t*>(batch.data_ptr());
  for (const clips::ClipFrames& clip : chosen) {
    for (const clips::Window& window : clip) {
      const int64_t count = window.last - window.first;
      store.read_frames(window.first, count, {out, static_cast<size_t>(count * values)});
      out += count * values;
    }
  }
  return batch;
}

std::vector<std::vector<float>> features_of(const LoadedModel& model, const clips::ClipStore& store,
                                            const std::vector<clips::ClipFrames>& chosen,
                                            const std::atomic<bool>& stop,
                                            const std::function<void(int64_t, int64_t)>& progress) {
  const c10::InferenceMode inference;
  std::vector<std::vector<float>> rows;
  for (size_t first = 0; first < chosen.size();) {
    if (stop) {
      throw Error(message::kStopped, "Stopped between two clips.");
    }
    const size_t count = std::min(static_cast<size_t>(model.batch), chosen.size() - first);
    const model::TokenLayout layout({.background = model.background, .clips = static_cast<int64_t>(count)});
    const at::Tensor batch = read_clips(store, std::span(chosen).subspan(first, count)).to(model.device);
    const at::Tensor pooled =
        model.encoder->forward(batch, layout).pooled.to(at::kCPU, at::kFloat).contiguous();
    const float* values = pooled.const_data_ptr<float>();
    const auto width = static_cast<size_t>(pooled.size(1));
    for (size_t clip = 0; clip < count; ++clip, values += width) {
      rows.emplace_back(values, values + width);
      if (!std::all_of(values, values + width, [](float v) { return std::isfinite(v); })) {
        throw Error(
            message::kUnfitModel, "The model gives values that are not finite for this run.",
            {.file = model.folder.path.string(), .remedy = "check the weights with slimbrain-model inspect"});
      }
    }
    first += count;
    progress(static_cast<int64_t>(first), static_cast<int64_t>(chosen.size()));
  }
  return rows;
}

void check_zscore(const model::ModelFolder& model, const clips::ClipStore& store, const fs::path& path) {
  if (model.config.zscore && *model.config.zscore != store.get("zscore")) {
    throw Error(message::kUnfitModel,
                "The model expects z-scores per " + *model.config.zscore + ", this run was prepared per " +
                    store.get("zscore") + ".",
                {.file = path.string(), .remedy = "prepare with --zscore " + *model.config.zscore});
  }
}

}  // namespace slim::pipelines
