// SPDX-License-Identifier: Apache-2.0
#include "pipelines/model_choice.h"

#include <cstdlib>

#include "core/error.h"
#include "core/token_set.h"
#include "model/checkpoint/model_tool.h"
#include "model/device/device.h"
#include "pipelines/head.h"
#include "pipelines/loaded_model.h"
#include "pipelines/saliency.h"

namespace fs = std::filesystem;

namespace slim::pipelines {

fs::path find_model(const std::string& model, const fs::path& out_dir) {
  if (model.empty()) {
    throw Error(message::kNoModel, "This stage needs a model and --model names none.",
                {.remedy = "--model DIR (slimbrain-model import or group --stages pretrain makes one); "
                           "participant --stages prep needs none"});
  }
  std::error_code ignored;
  if (model.find('/') != std::string::npos || fs::is_directory(model, ignored)) {
    if (!fs::is_directory(model, ignored)) {
      throw Error(message::kNoModel, "There is no model folder at this path.", {.file = model});
    }
    return model;
  }
  std::vector<fs::path> places{out_dir / "models"};
  if (const char* text = std::getenv("SLIMBRAIN_MODELS")) {
    std::string folder;
    for (const char c : std::string(text) + ":") {
      if (c != ':') {
        folder += c;
      } else if (!folder.empty()) {
        places.emplace_back(folder);
        folder.clear();
      }
    }
  }
  std::string searched;
  for (const fs::path& place : places) {
    for (const std::string& name : {model, "model-" + model}) {
      if (fs::is_directory(place / name, ignored)) {
        return place / name;
      }
    }
    searched += (searched.empty() ? "" : ", ") + place.string();
  }
  throw Error(message::kNoModel, "Model " + model + " was not found.",
              {.found = "searched " + searched,
               .remedy = "give the folder's path, or make a model with slimbrain-model import"});
}

CheckedModel check_model(const Config& config, const fs::path& out_dir, bool must_predict, Log& log) {
  const model::ModelFolder folder = model::open_model(find_model(config.embed.model, out_dir));
  ranking_of(config, folder);
  if (folder.config.token_mask_sha256 &&
      *folder.config.token_mask_sha256 != packaged_token_set().mask_sha256) {
    throw Error(message::kUnfitModel, "The model was made for another token set.",
                {.file = folder.path.string(),
                 .expected = packaged_token_set().mask_sha256,
                 .found = *folder.config.token_mask_sha256});
  }
  const bool predicts = folder.config.head_target.has_value();
  if (must_predict || predicts) {
    class_named(head_of(folder).target, config.saliency.saliency_class);
    baseline_of(config.saliency, folder);
  }
  const std::string note = model::untrained_note(folder.card);
  if (!note.empty()) {
    log.warn(note);
  }
  const model::Background background = background_of(config, folder);
  if (model::name_of(background) != folder.config.background) {
    log.warn("background mode " + std::string(model::name_of(background)) + " is not the model's own (" +
             folder.config.background + ")");
  }
  const model::DeviceChoice choice = model::resolve_device(config.resources.device);
  if (!choice.note.empty()) {
    log.say(Level::Normal, choice.note);
  }
  precision_of(config.resources.precision, at::Device(choice.name));
  return {.device = choice.name, .predicts = predicts};
}

}  // namespace slim::pipelines
