// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "core/slim_grid.h"
#include "core/version.h"
#include "model/checkpoint/model_json.h"
#include "model/checkpoint/object_reader.h"

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace slim::model {
namespace {

ModelTraining training_from(const json& object, const fs::path& file) {
  ObjectReader reader(object, file, "training");
  ModelTraining training{.objective = reader.text("objective", {"jepa", "mae"}),
                         .encoder = reader.text("encoder", {"target", "online"}),
                         .parents = reader.texts("parents"),
                         .datasets = reader.texts("datasets"),
                         .participants = reader.integer("participants", 1, kMostCounted),
                         .runs = reader.integer("runs", 1, kMostCounted),
                         .epochs = reader.integer("epochs", 1, kMostCounted),
                         .steps = reader.integer("steps", 1, kMostCounted),
                         .clips = reader.integer("clips", 1, kMostCounted),
                         .clip_source = reader.text("clip_source", {"random", "selected", "mixed"}),
                         .verdict = reader.text("verdict", {"healthy", "narrow"})};
  reader.finish();
  return training;
}

ModelTuning tuning_from(const json& object, const fs::path& file) {
  ObjectReader reader(object, file, "tuning");
  ModelTuning tuning{.method = reader.text("method", {"linear", "finetune"}),
                     .parent = reader.sha256("parent"),
                     .datasets = reader.texts("datasets"),
                     .ranker = reader.text("ranker"),
                     .participants = reader.integer("participants", 1, kMostCounted),
                     .runs = reader.integer("runs", 1, kMostCounted),
                     .clips = reader.integer("clips", 1, kMostCounted),
                     .epochs = reader.integer("epochs", 0, kMostCounted),
                     .best_epoch = reader.integer("best_epoch", 0, kMostCounted),
                     .lambda_per_column = reader.number("lambda_per_column"),
                     .metric = reader.text("metric")};
  if (!reader.is_null("score")) {
    tuning.score = reader.number("score");
  }
  reader.finish();
  return tuning;
}

}  // namespace

std::string card_text(const ModelCard& card) {
  ordered_json json{{"format", kModelFormat},
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
  if (card.tuning) {
    const ModelTuning& tuning = *card.tuning;
    json["tuning"] = {{"method", tuning.method},
                      {"parent", tuning.parent},
                      {"datasets", tuning.datasets},
                      {"ranker", tuning.ranker},
                      {"participants", tuning.participants},
                      {"runs", tuning.runs},
                      {"clips", tuning.clips},
                      {"epochs", tuning.epochs},
                      {"best_epoch", tuning.best_epoch},
                      {"lambda_per_column", tuning.lambda_per_column},
                      {"metric", tuning.metric},
                      {"score", nullable(tuning.score)}};
  }
  return pretty(json);
}

ModelCard card_from(const json& object, const fs::path& file) {
  ObjectReader reader(object, file, "card");
  reader.integer("format", kModelFormat, kModelFormat);
  ModelCard card;
  card.name = reader.text("name");
  if (model_label(card.name) != card.name) {
    reader.fail("has a name that is not made of letters and digits", card.name);
  }
  card.trained = reader.boolean("trained");
  card.made_by = reader.text("made_by", {"init", "import", "pretrain", "finetune"});
  if (const json& seed = reader.at("seed"); !seed.is_null()) {
    if (!seed.is_number_unsigned()) {
      reader.fail("has no whole number >= 0 under \"seed\"", seed.dump());
    }
    card.seed = seed.get<uint64_t>();
  }
  if (!reader.is_null("source")) {
    ObjectReader inner(reader.at("source"), file, "source");
    card.source = ModelSource{.file = inner.text("file"),
                              .sha256 = inner.sha256("sha256"),
                              .container = inner.text("container", {"zip", "legacy"}),
                              .state_key = inner.text("state_key"),
                              .epoch = {},
                              .ema = inner.boolean("ema")};
    if (!inner.is_null("epoch")) {
      card.source->epoch = inner.integer("epoch", -kMostCounted, kMostCounted);
    }
    inner.finish();
  }
  const bool tuned = card.made_by == "finetune";
  if (tuned != reader.has("tuning") || (!tuned && (card.made_by == "pretrain") != reader.has("training"))) {
    reader.fail(
        "must tell of its training when it was made by pretrain, of its tuning when it was made by "
        "finetune, and only then");
  }
  if (reader.has("training")) {
    card.training = training_from(reader.at("training"), file);
  }
  if (tuned) {
    card.tuning = tuning_from(reader.at("tuning"), file);
  }
  card.initialised_tensors = reader.texts("initialised_tensors");
  card.tensors = reader.integer("tensors", 0, kMostCounted);
  card.parameters = reader.integer("parameters", 0, kMostCounted);
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
  } else if (card.tuning) {
    const ModelTuning& tuning = *card.tuning;
    text +=
        (tuning.method == "linear" ? "A linear head on a frozen encoder" : "Encoder and head fine-tuned") +
        std::string(", learnt from ") + std::to_string(tuning.runs) + " runs of " +
        std::to_string(tuning.participants) + " participants";
    text += config.head_target ? " to predict " + config.head_target->column + ".\n" : ".\n";
    text +=
        card.trained ? "" : "\n**Untrained encoder.** The head stands on weights that are random numbers.\n";
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
  if (card.training || card.tuning) {
    text +=
        "- `splits.tsv`: who was learnt from\n- `history.tsv`, `metrics.jsonl` (of trainings in epochs): a "
        "row an epoch, a line a step\n";
  }
  return text;
}

}  // namespace slim::model
