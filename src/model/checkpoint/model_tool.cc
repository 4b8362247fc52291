// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/model_tool.h"

#include <algorithm>
#include <cmath>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "core/sha256.h"
#include "core/slim_grid.h"
#include "core/token_set.h"
#include "model/checkpoint/float_tensor.h"
#include "model/checkpoint/init_weights.h"
#include "model/checkpoint/key_match.h"
#include "model/checkpoint/pth_writer.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

std::string name_for(const fs::path& folder, const std::string& name) {
  if (!name.empty()) {
    if (model_label(name) != name) {
      throw Error(message::kBadValue, "A model's name holds letters and digits only.", {.found = name});
    }
    return name;
  }
  std::string last = fs::absolute(folder).lexically_normal().filename().string();
  if (last.empty()) {
    last = fs::absolute(folder).lexically_normal().parent_path().filename().string();
  }
  return model_label(last.starts_with("model-") ? last.substr(6) : last);
}

std::vector<float> values_of(const StoredTensor& tensor, const fs::path& file) {
  std::vector<float> values = to_float32(tensor.contiguous(), tensor.spec.dtype);
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) {
    throw Error(message::kUnfitModel, "The checkpoint holds NaN or Inf.",
                {.file = file.string(), .found = tensor.spec.name});
  }
  return values;
}

/// Where a tensor is drawn at random, its stream is that of its place among the encoder's sorted names.
uint64_t place_of(const std::string& name, const std::vector<TensorSpec>& sorted) {
  return static_cast<uint64_t>(
      std::find_if(sorted.begin(), sorted.end(), [&](const TensorSpec& spec) { return spec.name == name; }) -
      sorted.begin());
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

void add_warnings(const KeyMatch& match, const PthFile& pth, const ImportOptions& options, ModelMade& made) {
  made.warnings = match.warnings;
  const auto warn = [&](const std::string& sentence) { made.warnings.push_back(sentence); };
  if (!match.unexpected.empty()) {
    warn("Keys that the model does not know are left out: " + listed(match.unexpected) + ".");
  }
  if (!match.ema.empty()) {
    warn("The file also holds a target (EMA) encoder of " + std::to_string(match.ema.size()) + " tensors (" +
         match.ema.front() + ", ...), which is " + (options.import_ema ? "taken." : "left out."));
  }
  if (!match.missing.empty()) {
    warn("Missing tensors were drawn at random (seed " + std::to_string(options.seed) +
         "): " + listed(match.missing) + ".");
  }
  if (!pth.opaque_names().empty()) {
    warn("Objects that are not weights were not read: " + listed(pth.opaque_names()) + ".");
  }
  const bool rounded =
      std::any_of(match.tensors.begin(), match.tensors.end(), [](const MatchedTensor& tensor) {
        return tensor.source != nullptr && tensor.source->spec.dtype == DType::F64;
      });
  if (rounded) {
    warn("Double-precision tensors were rounded to float32.");
  }
}

}  // namespace

ModelMade import_pth(const fs::path& file, const fs::path& folder, const ImportOptions& options) {
  const PthFile pth = PthFile::open(file);
  const KeyMatch match = match_keys(
      pth.tensors(), file, {.allow_partial = options.allow_partial, .import_ema = options.import_ema});
  const std::vector<TensorSpec> encoder = encoder_tensors(match.encoder);
  std::vector<WeightSource> weights;
  for (const MatchedTensor& tensor : match.tensors) {
    weights.push_back({.spec = tensor.spec, .make = [&tensor, &file, &encoder, &options] {
                         return tensor.source != nullptr
                                    ? values_of(*tensor.source, file)
                                    : initial_values(tensor.spec, options.seed,
                                                     place_of(tensor.spec.name, encoder));
                       }});
  }
  std::sort(weights.begin(), weights.end(),
            [](const WeightSource& a, const WeightSource& b) { return a.spec.name < b.spec.name; });
  const ModelConfig config{.encoder = match.encoder,
                           .fusion = match.fusion,
                           .predictor = match.predictor,
                           .head_outputs = match.head_outputs,
                           .objective = {},
                           .background = "unit",
                           .grid = kSlimGridName,
                           .token_mask_sha256 = {},
                           .zscore = {},
                           .repetition_time_s = {}};
  ModelCard card{
      .name = name_for(folder, options.name),
      .trained = match.missing.empty() && !pth.says_untrained(),
      .made_by = "import",
      .seed = match.missing.empty() ? std::nullopt : std::optional(options.seed),
      .source = ModelSource{.file = file.filename().string(),
                            .sha256 = sha256_hex(MappedFile::open(file, message::kBadCheckpoint).bytes()),
                            .container = pth.container(),
                            .state_key = pth.state_key(),
                            .epoch = pth.epoch(),
                            .ema = options.import_ema},
      .initialised_tensors = match.missing};
  ModelMade made;
  made.card = write_model(folder, config, std::move(card), weights);
  add_warnings(match, pth, options, made);
  return made;
}

int64_t export_pth(const fs::path& folder, const fs::path& file) {
  const ModelFolder model = open_model(folder);
  std::vector<PthTensor> tensors;
  for (const TensorSpec& spec : model.weights.tensors()) {
    if (!spec.name.starts_with(kGlobalMaePrefix)) {  // no official name: it exists in safetensors alone
      tensors.push_back({.spec = spec, .data = model.weights.data(spec)});
    }
  }
  const int64_t epoch = model.card.source ? model.card.source->epoch.value_or(0) : 0;
  write_atomically(file, [&](const fs::path& partial) {
    write_pth(partial, tensors, {.epoch = epoch, .trained = model.card.trained});
  });
  return static_cast<int64_t>(tensors.size());
}

ModelMade init_model(const fs::path& folder, const std::string& preset, uint64_t seed,
                     const std::string& name) {
  const EncoderOptions encoder = encoder_preset(preset);
  std::vector<WeightSource> weights;
  for (const TensorSpec& spec : encoder_tensors(encoder)) {
    const uint64_t index = weights.size();
    weights.push_back(
        {.spec = spec, .make = [spec, seed, index] { return initial_values(spec, seed, index); }});
  }
  const ModelConfig config{.encoder = encoder,
                           .fusion = false,
                           .predictor = {},
                           .head_outputs = {},
                           .objective = {},
                           .background = "token",
                           .grid = kSlimGridName,
                           .token_mask_sha256 = packaged_token_set().mask_sha256,
                           .zscore = "run",
                           .repetition_time_s = 0.72};
  ModelMade made;
  made.card = write_model(folder, config,
                          {.name = name_for(folder, name), .trained = false, .made_by = "init", .seed = seed},
                          weights);
  return made;
}

std::string untrained_note(const ModelCard& card) {
  if (card.trained) {
    return {};
  }
  if (!card.initialised_tensors.empty()) {
    return "Model " + card.name +
           " is not a trained model: " + std::to_string(card.initialised_tensors.size()) +
           " of its tensors are random numbers.";
  }
  return "Model " + card.name + " is untrained: its weights are random numbers.";
}

}  // namespace slim::model
