// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/model_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"
#include "core/mapped_file.h"
#include "core/sha256.h"
#include "model/checkpoint/model_json.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

constexpr const char* kWeights = "weights.safetensors";
constexpr const char* kConfig = "config.json";
constexpr const char* kCard = "model.json";
constexpr const char* kReadme = "README.md";

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int result = fd < 0 ? -1 : ::fsync(fd);
  const int error_number = errno;
  if (fd >= 0) {
    ::close(fd);
  }
  // Some network file systems refuse fsync on a folder.
  if (result != 0 && error_number != EINVAL) {
    throw Error(message::kInputOutput,
                std::string("The folder cannot be synchronised: ") + std::strerror(error_number) + ".",
                {.file = folder.string()});
  }
}

/// As write_atomically, for a folder: `fill` writes into a temporary one beside the target, which is then
/// renamed.
void write_folder_atomically(const fs::path& folder, const std::function<void(const fs::path&)>& fill) {
  fs::path target = folder;
  if (!target.has_filename()) {
    target = target.parent_path();  // "models/model-a/"
  }
  std::error_code error;
  if (fs::exists(fs::symlink_status(target, error)) &&
      !(fs::is_directory(target, error) && fs::is_empty(target, error))) {
    throw Error(message::kCannotCreate, "The model folder is not written: something is there already.",
                {.file = target.string(), .remedy = "choose another name, or remove it first"});
  }
  const fs::path parent = target.has_parent_path() ? target.parent_path() : fs::path(".");
  create_folder(parent);
  const fs::path partial =
      parent / (std::string(kPartialPrefix) + make_uuid() + "-" + target.filename().string());
  try {
    create_folder(partial);
    fill(partial);
    sync_folder(partial);
    fs::rename(partial, target, error);
    if (error) {
      throw Error(message::kInputOutput,
                  "The finished folder cannot be put in its place: " + error.message() + ".",
                  {.file = target.string()});
    }
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
  sync_folder(parent);
}

void write_weights(const fs::path& path, const ModelCard& card, const std::vector<WeightSource>& weights) {
  std::vector<TensorSpec> specs;
  for (const WeightSource& weight : weights) {
    specs.push_back(weight.spec);
  }
  SafetensorsWriter writer(path, specs,
                           {{"slimbrain_model", "1"}, {"trained", card.trained ? "true" : "false"}});
  for (const WeightSource& weight : weights) {
    const std::vector<float> values = weight.make();
    if (values.size() != static_cast<size_t>(weight.spec.count())) {
      throw Error(message::kBug, "A weight has the wrong number of values.", {.found = weight.spec.name});
    }
    writer.append(std::as_bytes(std::span(values)));
  }
  writer.finish();
}

void check_weights(const ModelFolder& model) {
  std::string problems;
  const auto add = [&](const std::string& kind, const std::string& what) {
    problems += (problems.empty() ? "" : "\n    ") + kind + ": " + what;
  };
  const std::vector<TensorSpec> expected = configured_tensors(model.config);
  for (const TensorSpec& spec : expected) {
    const TensorSpec* found = model.weights.find(spec.name);
    if (found == nullptr) {
      add("missing", spec.name);
    } else if (found->shape != spec.shape || found->dtype != spec.dtype) {
      add("mis-shaped", spec.name + ": " + name_of(spec.dtype) + " " + shape_text(spec.shape) +
                            " expected, " + name_of(found->dtype) + " " + shape_text(found->shape) +
                            " found");
    }
  }
  for (const TensorSpec& spec : model.weights.tensors()) {
    if (std::none_of(expected.begin(), expected.end(),
                     [&](const TensorSpec& one) { return one.name == spec.name; })) {
      add("unexpected", spec.name);
    }
  }
  if (!problems.empty()) {
    throw Error(message::kUnfitModel, "The weights are not those of the model's configuration.",
                {.file = model.weights.path().string(), .found = problems});
  }
  if (model.card.tensors != static_cast<int64_t>(expected.size()) ||
      model.card.parameters != parameter_count(expected)) {
    throw Error(message::kUnfitModel, "The model's card counts other tensors or parameters than there are.",
                {.file = (model.path / kCard).string()});
  }
}

}  // namespace

std::vector<TensorSpec> configured_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> tensors = encoder_tensors(config.encoder);
  const auto add = [&](const std::vector<TensorSpec>& more) {
    tensors.insert(tensors.end(), more.begin(), more.end());
  };
  if (config.fusion) {
    add(fusion_tensors(config.encoder));
  }
  if (config.predictor) {
    add(predictor_tensors(config.encoder, *config.predictor));
  }
  if (config.stage1) {
    add(global_mae_tensors(config.stage1->network));
  }
  if (config.head_outputs) {
    add({{.name = "head.projection.weight",
          .dtype = DType::F32,
          .shape = {*config.head_outputs, config.encoder.width()}},
         {.name = "head.projection.bias", .dtype = DType::F32, .shape = {*config.head_outputs}}});
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  return tensors;
}

std::string model_label(const std::string& text) {
  std::string label;
  std::copy_if(text.begin(), text.end(), std::back_inserter(label), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
  if (label.empty()) {
    throw Error(message::kBadValue, "The model needs a name of letters and digits.", {.found = text});
  }
  return label;
}

ModelFolder open_model(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw Error(
        message::kNoModel, "There is no model folder of this name.",
        {.file = folder.string(), .remedy = "make one with slimbrain-model import or slimbrain-model init"});
  }
  ModelFolder model{.path = folder,
                    .config = config_from(read_json(folder / kConfig), folder / kConfig),
                    .card = card_from(read_json(folder / kCard), folder / kCard),
                    .weights = SafetensorsFile::open(folder / kWeights)};
  check_weights(model);
  const std::string found = sha256_hex(MappedFile::open(folder / kWeights, message::kBadStore).bytes());
  if (found != model.card.weights_sha256) {
    throw Error(message::kUnfitModel, "The weights are not the ones that the model's card describes.",
                {.file = (folder / kWeights).string(),
                 .expected = "SHA-256 " + model.card.weights_sha256,
                 .found = "SHA-256 " + found,
                 .remedy = "copy the model folder again, or import the weights again"});
  }
  return model;
}

ModelCard write_model(const fs::path& folder, const ModelConfig& config, ModelCard card,
                      const std::vector<WeightSource>& weights,
                      const std::function<void(const fs::path&)>& more) {
  std::vector<TensorSpec> specs;
  for (const WeightSource& weight : weights) {
    specs.push_back(weight.spec);
  }
  card.tensors = static_cast<int64_t>(specs.size());
  card.parameters = parameter_count(specs);
  write_folder_atomically(folder, [&](const fs::path& partial) {
    write_weights(partial / kWeights, card, weights);
    card.weights_sha256 = sha256_hex(MappedFile::open(partial / kWeights, message::kBadStore).bytes());
    write_text(partial / kConfig, config_text(config));
    write_text(partial / kCard, card_text(card));
    write_text(partial / kReadme, readme_text(config, card));
    if (more) {
      more(partial);
    }
    // What was written is read with the same eyes that will read it later.
    open_model(partial);
  });
  return card;
}

}  // namespace slim::model
