// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "core/slim_grid.h"
#include "model/checkpoint/model_json.h"
#include "model/checkpoint/object_reader.h"

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace slim::model {
namespace {

EncoderOptions encoder_from(const json& object, const std::string& preset, const fs::path& file) {
  ObjectReader reader(object, file, "encoder");
  const EncoderOptions options = encoder_preset(preset);
  // Other shapes than the presets' are not known to work anywhere; the fields are there to be read by people.
  const auto same = [&](const char* key, int64_t expected) {
    if (reader.integer(key, 0, kMostCounted) != expected) {
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

Stage1Config stage1_from(const json& object, const fs::path& file) {
  ObjectReader reader(object, file, "stage1");
  Stage1Config stage1;
  GlobalMaeOptions& network = stage1.network;
  network.width = reader.integer("width", 2, 1 << 16);
  network.depth = reader.integer("depth", 0, 999);
  network.heads = reader.integer("heads", 1, 1 << 10);
  network.rois = reader.integer("rois", 1, 10'000);
  network.rois_per_token = reader.integer("rois_per_token", 1, 10'000);
  network.window_frames = reader.integer("window_frames", 1, kClipFrames);
  if (network.width % network.heads != 0 || kClipFrames % network.window_frames != 0) {
    reader.fail("has a width that its heads do not divide, or windows that do not make a clip of 40 frames");
  }
  stage1.atlas = reader.text("atlas");
  stage1.atlas_sha256 = reader.sha256("atlas_sha256");
  reader.finish();
  return stage1;
}

ordered_json stage1_json(const Stage1Config& stage1) {
  const GlobalMaeOptions& network = stage1.network;
  return {{"width", network.width},
          {"depth", network.depth},
          {"heads", network.heads},
          {"rois", network.rois},
          {"rois_per_token", network.rois_per_token},
          {"window_frames", network.window_frames},
          {"atlas", stage1.atlas},
          {"atlas_sha256", stage1.atlas_sha256}};
}

HeadTarget target_from(const json& object, const fs::path& file) {
  ObjectReader reader(object, file, "target of the head");
  HeadTarget target{.name = reader.text("name"),
                    .column = reader.text("column"),
                    .classes = reader.texts("classes"),
                    .mean = reader.number("mean"),
                    .sd = reader.number("sd"),
                    .units = reader.text("units")};
  if (model_label(target.name) != target.name) {
    reader.fail("has a name that is not made of letters and digits", target.name);
  }
  if (target.classes.size() == 1 || !(target.sd > 0)) {
    reader.fail("has one class only, or an SD that is not positive");
  }
  reader.finish();
  return target;
}

ordered_json target_json(const HeadTarget& target) {
  return {{"name", target.name}, {"column", target.column}, {"classes", target.classes},
          {"mean", target.mean}, {"sd", target.sd},         {"units", target.units}};
}

}  // namespace

std::string config_text(const ModelConfig& config) {
  const EncoderOptions& encoder = config.encoder;
  ordered_json json{{"format", kModelFormat},
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
                    {"stage1", nullptr},
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
    json["head"] = {{"outputs", *config.head_outputs}, {"target", nullptr}};
    if (config.head_target) {
      json["head"]["target"] = target_json(*config.head_target);
    }
  }
  if (config.stage1) {
    json["stage1"] = stage1_json(*config.stage1);
  }
  return pretty(json);
}

ModelConfig config_from(const json& object, const fs::path& file) {
  ObjectReader reader(object, file, "configuration");
  reader.integer("format", kModelFormat, kModelFormat);
  ModelConfig config;
  const std::string preset = reader.text("preset", {"tiny", "base"});
  config.encoder = encoder_from(reader.at("encoder"), preset, file);
  config.fusion = reader.boolean("fusion");
  if (!reader.is_null("predictor")) {
    ObjectReader inner(reader.at("predictor"), file, "predictor");
    config.predictor = {.width = inner.integer("width", 1, 1 << 20),
                        .depth = inner.integer("depth", 0, 999),
                        .output = inner.integer("output", 1, 1 << 20)};
    inner.finish();
  }
  if (!reader.is_null("head")) {
    ObjectReader inner(reader.at("head"), file, "head");
    config.head_outputs = inner.integer("outputs", 1, 1 << 30);
    if (!inner.is_null("target")) {
      config.head_target = target_from(inner.at("target"), file);
      if (config.head_target->outputs() != *config.head_outputs) {
        inner.fail("has another number of outputs than its target");
      }
    }
    inner.finish();
  }
  if (!reader.is_null("stage1")) {
    config.stage1 = stage1_from(reader.at("stage1"), file);
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

}  // namespace slim::model
