// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/model_json.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "core/slim_grid.h"
#include "core/version.h"

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace slim::model {
namespace {

constexpr int64_t kFormat = 1;

template <class T>
ordered_json nullable(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

/// A file's name may hold any bytes; JSON may not.
std::string pretty(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// One object of a file: every key must be read, and nothing else may stand there.
class Reader {
 public:
  Reader(const json& object, const fs::path& file, std::string where)
      : object_(object), file_(file), where_(std::move(where)) {
    if (!object.is_object()) {
      fail("is not an object");
    }
  }

  [[noreturn]] void fail(const std::string& what, std::string found = {}) const {
    throw Error(message::kUnfitModel, "The model's " + (where_.empty() ? "file" : where_) + " " + what + ".",
                {.file = file_.string(), .found = std::move(found)});
  }
  const json& at(const char* key) {
    const auto found = object_.find(key);
    if (found == object_.end()) {
      fail(std::string("lacks the key \"") + key + "\"");
    }
    read_.emplace_back(key);
    return *found;
  }
  int64_t integer(const char* key, int64_t least, int64_t most) {
    const json& value = at(key);
    if (!value.is_number_integer() || value.is_number_unsigned() != (value >= 0) || value < least ||
        value > most) {
      fail(std::string("has no whole number from ") + std::to_string(least) + " to " + std::to_string(most) +
               " under \"" + key + "\"",
           value.dump());
    }
    return value.get<int64_t>();
  }
  bool boolean(const char* key) {
    const json& value = at(key);
    if (!value.is_boolean()) {
      fail(std::string("has neither true nor false under \"") + key + "\"", value.dump());
    }
    return value.get<bool>();
  }
  std::string text(const char* key, std::initializer_list<std::string_view> choices = {}) {
    const json& value = at(key);
    const bool known = choices.size() == 0 ||
                       (value.is_string() &&
                        std::find(choices.begin(), choices.end(), value.get<std::string>()) != choices.end());
    if (!value.is_string() || !known) {
      fail(std::string("has no proper text under \"") + key + "\"", value.dump());
    }
    return value.get<std::string>();
  }
  bool is_null(const char* key) { return at(key).is_null(); }
  std::optional<std::string> text_or_null(const char* key,
                                          std::initializer_list<std::string_view> choices = {}) {
    return is_null(key) ? std::nullopt : std::optional(text(key, choices));
  }
  std::vector<std::string> texts(const char* key) {
    std::vector<std::string> all;
    for (const json& one : at(key)) {
      if (!one.is_string()) {
        fail(std::string("has something else than names under \"") + key + "\"");
      }
      all.push_back(one.get<std::string>());
    }
    return all;
  }
  std::string sha256(const char* key) {
    std::string value = text(key);
    if (value.size() != 64 || value.find_first_not_of("0123456789abcdef") != value.npos) {
      fail(std::string("has no SHA-256 under \"") + key + "\"", value);
    }
    return value;
  }
  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(read_.begin(), read_.end(), key) == read_.end()) {
        fail("has an unknown key \"" + key + "\"");
      }
    }
  }

 private:
  const json& object_;
  const fs::path& file_;
  std::string where_;
  std::vector<std::string> read_;
};

constexpr int64_t kMost = int64_t{1} << 40;

EncoderOptions encoder_from(const json& object, const std::string& preset, const fs::path& file) {
  Reader reader(object, file, "encoder");
  const EncoderOptions options = encoder_preset(preset);
  // Other shapes than the presets' are not known to work anywhere; the fields are there to be read by people.
  const auto same = [&](const char* key, int64_t expected) {
    if (reader.integer(key, 0, kMost) != expected) {
      reader.fail(std::string("has another \"") + key + "\" than preset " + preset, reader.at(key).dump());
    }
  };
  same("embed_dim", options.embed_dim);
  same("heads", options.heads);
  same("mlp_ratio", options.mlp_ratio);
  same("width", options.width());
  if (reader.at("stage_blocks") != json(options.stage_blocks) ||
      reader.at("norm_eps") != json(options.norm_eps)) {
    reader.fail("has other \"stage_blocks\" or \"norm_eps\" than preset " + preset);
  }
  reader.finish();
  return options;
}

ModelTraining training_from(const json& object, const fs::path& file) {
  Reader reader(object, file, "training");
  ModelTraining training{.objective = reader.text("objective", {"jepa", "mae"}),
                         .encoder = reader.text("encoder", {"target", "online"}),
                         .parents = reader.texts("parents"),
                         .datasets = reader.texts("datasets"),
                         .participants = reader.integer("participants", 1, kMost),
                         .runs = reader.integer("runs", 1, kMost),
                         .epochs = reader.integer("epochs", 1, kMost),
                         .steps = reader.integer("steps", 1, kMost),
                         .clips = reader.integer("clips", 1, kMost),
                         .clip_source = reader.text("clip_source", {"random", "selected", "mixed"}),
                         .verdict = reader.text("verdict", {"healthy", "narrow"})};
  reader.finish();
  return training;
}

}  // namespace

std::string config_text(const ModelConfig& config) {
  const EncoderOptions& encoder = config.encoder;
  ordered_json json{{"format", kFormat},
                    {"preset", encoder.preset},
                    {"encoder",
                     {{"embed_dim", encoder.embed_dim},
                      {"heads", encoder.heads},
                      {"stage_blocks", encoder.stage_blocks},
                      {"mlp_ratio", encoder.mlp_ratio},
                      {"norm_eps", encoder.norm_eps},
                      {"width", encoder.width()}}},
                    {"fusion", config.fusion},
                    {"predictor", nullptr},
                    {"head", nullptr},
                    {"objective", nullable(config.objective)},
                    {"background", config.background},
                    {"grid", config.grid},
                    {"token_mask_sha256", nullable(config.token_mask_sha256)},
                    {"zscore", nullable(config.zscore)},
                    {"repetition_time_s", nullable(config.repetition_time_s)}};
  if (config.predictor) {
    json["predictor"] = {{"width", config.predictor->width},
                         {"depth", config.predictor->depth},
                         {"output", config.predictor->output}};
  }
  if (config.head_outputs) {
    json["head"] = {{"outputs", *config.head_outputs}};
  }
  return pretty(json);
}

ModelConfig config_from(const json& object, const fs::path& file) {
  Reader reader(object, file, "configuration");
  reader.integer("format", kFormat, kFormat);
  ModelConfig config;
  const std::string preset = reader.text("preset", {"tiny", "base"});
  config.encoder = encoder_from(reader.at("encoder"), preset, file);
  config.fusion = reader.boolean("fusion");
  if (!reader.is_null("predictor")) {
    Reader inner(reader.at("predictor"), file, "predictor");
    config.predictor = {.width = inner.integer("width", 1, 1 << 20),
                        .depth = inner.integer("depth", 0, 999),
                        .output = inner.integer("output", 1, 1 << 20)};
    inner.finish();
  }
  if (!reader.is_null("head")) {
    Reader inner(reader.at("head"), file, "head");
    config.head_outputs = inner.integer("outputs", 1, 1 << 30);
    inner.finish();
  }
  config.objective = reader.text_or_null("objective", {"jepa", "mae"});
  config.background = reader.text("background", {"token", "unit", "none"});
  config.grid = reader.text("grid", {kSlimGridName});
  if (!reader.is_null("token_mask_sha256")) {
    config.token_mask_sha256 = reader.sha256("token_mask_sha256");
  }
  config.zscore = reader.text_or_null("zscore", {"run", "voxel"});
  if (const json& value = reader.at("repetition_time_s"); !value.is_null()) {
    if (!value.is_number() || value.get<double>() <= 0.0) {
      reader.fail("has no positive number under \"repetition_time_s\"", value.dump());
    }
    config.repetition_time_s = value.get<double>();
  }
  reader.finish();
  return config;
}

std::string card_text(const ModelCard& card) {
  ordered_json json{{"format", kFormat},
                    {"name", card.name},
                    {"trained", card.trained},
                    {"made_by", card.made_by},
                    {"seed", nullable(card.seed)},
                    {"source", nullptr},
                    {"initialised_tensors", card.initialised_tensors},
                    {"tensors", card.tensors},
                    {"parameters", card.parameters},
                    {"weights_sha256", card.weights_sha256},
                    {"slimbrain_version", kVersion}};
  if (card.source) {
    json["source"] = {{"file", card.source->file},
                      {"sha256", card.source->sha256},
                      {"container", card.source->container},
                      {"state_key", card.source->state_key},
                      {"epoch", nullable(card.source->epoch)},
                      {"ema", card.source->ema}};
  }
  if (card.training) {
    const ModelTraining& training = *card.training;
    json["training"] = {{"objective", training.objective},
                        {"encoder", training.encoder},
                        {"parents", training.parents},
                        {"datasets", training.datasets},
                        {"participants", training.participants},
                        {"runs", training.runs},
                        {"epochs", training.epochs},
                        {"steps", training.steps},
                        {"clips", training.clips},
                        {"clip_source", training.clip_source},
                        {"verdict", training.verdict}};
  }
  return pretty(json);
}

ModelCard card_from(const json& object, const fs::path& file) {
  Reader reader(object, file, "card");
  reader.integer("format", kFormat, kFormat);
  ModelCard card;
  card.name = reader.text("name");
  if (model_label(card.name) != card.name) {
    reader.fail("has a name that is not made of letters and digits", card.name);
  }
  card.trained = reader.boolean("trained");
  card.made_by = reader.text("made_by", {"init", "import", "pretrain"});
  if (const json& seed = reader.at("seed"); !seed.is_null()) {
    if (!seed.is_number_unsigned()) {
      reader.fail("has no whole number >= 0 under \"seed\"", seed.dump());
    }
    card.seed = seed.get<uint64_t>();
  }
  if (!reader.is_null("source")) {
    Reader inner(reader.at("source"), file, "source");
    card.source = ModelSource{.file = inner.text("file"),
                              .sha256 = inner.sha256("sha256"),
                              .container = inner.text("container", {"zip", "legacy"}),
                              .state_key = inner.text("state_key"),
                              .epoch = {},
                              .ema = inner.boolean("ema")};
    if (!inner.is_null("epoch")) {
      card.source->epoch = inner.integer("epoch", -kMost, kMost);
    }
    inner.finish();
  }
  if ((card.made_by == "pretrain") != object.contains("training")) {
    reader.fail("must tell of its training when it was made by pretrain, and only then");
  }
  if (card.made_by == "pretrain") {
    card.training = training_from(reader.at("training"), file);
  }
  card.initialised_tensors = reader.texts("initialised_tensors");
  card.tensors = reader.integer("tensors", 0, kMost);
  card.parameters = reader.integer("parameters", 0, kMost);
  card.weights_sha256 = reader.sha256("weights_sha256");
  reader.text("slimbrain_version");
  reader.finish();
  if (card.trained && (card.made_by == "init" || !card.initialised_tensors.empty())) {
    reader.fail("calls a model trained that was initialised at random");
  }
  return card;
}

std::string readme_text(const ModelConfig& config, const ModelCard& card) {
  std::string text = "# Model " + card.name + "\n\n";
  if (card.made_by == "init") {
    text += "**Untrained.** These weights are random numbers (seed " + std::to_string(card.seed.value_or(0)) +
            "). They serve to try the program; what they give says nothing about brains.\n";
  } else if (card.training) {
    const ModelTraining& training = *card.training;
    text += "Pre-trained by " + training.objective + " on " + std::to_string(training.runs) + " runs of " +
            std::to_string(training.participants) + " participants, " + std::to_string(training.epochs) +
            " epochs, " + std::to_string(training.steps) +
            " steps. Verdict of the monitors: " + training.verdict + ".\n";
  } else {
    text += "Imported from `" + (card.source ? card.source->file : std::string()) +
            "`. Which token mask and which normalisation its training used is not known.\n";
    if (!card.initialised_tensors.empty()) {
      text += "\n**Not a trained model:** " + std::to_string(card.initialised_tensors.size()) +
              " tensors were missing in the file and are random numbers; `model.json` lists them.\n";
    } else if (!card.trained) {
      text += "\n**Untrained.** The file says that its weights are random numbers.\n";
    }
  }
  text += "\nPreset " + config.encoder.preset + ", " + std::to_string(card.tensors) + " tensors, " +
          std::to_string(card.parameters) + " parameters, background mode `" + config.background + "`.\n";
  text +=
      "\n- `weights.safetensors`: the tensors, official names\n- `config.json`: what they expect\n- "
      "`model.json`: "
      "what is known about them\n";
  if (card.training) {
    text +=
        "- `splits.tsv`: who was learnt from; `history.tsv`: a row an epoch; `metrics.jsonl`: a line a "
        "step\n";
  }
  return text;
}

}  // namespace slim::model
