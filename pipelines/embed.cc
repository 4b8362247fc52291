// SPDX-License-Identifier: Apache-2.0
#include "pipelines/embed.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "bids/fingerprint.h"
#include "clips/clip_store.h"
#include "clips/window.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "model/checkpoint/model_tool.h"
#include "model/device/device.h"
#include "model/load_encoder.h"
#include "pipelines/rank.h"
#include "pipelines/sidecar.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Raised when the numbers of this stage change, so that older results become stale.
constexpr int kEmbedEpoch = 1;

/// A model ready to run.
struct LoadedModel {
  model::ModelFolder folder;
  model::HieraEncoder encoder;
  model::Background background;
  at::Device device;
  at::ScalarType dtype;
  int64_t batch;
  WindowRanking ranking;
};

/// Errors SB1002 for an unknown ranker, SB4001 for one that needs weights which the model lacks.
WindowRanking ranking_of(const Config& config, const model::ModelFolder& folder) {
  return complete_ranking({.options = {.ranker = clips::ranker_from(config.embed.ranker)},
                           .model = folder.card.name,
                           .model_note = model::untrained_note(folder.card)});
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

LoadedModel load(const Job& job) {
  model::ModelFolder folder = model::open_model(find_model(job.config.embed.model, job.output.root()));
  const at::Device device(job.device);
  const at::ScalarType dtype = precision_of(job.config.resources.precision, device);
  const model::Background background = background_of(job.config, folder);
  model::HieraEncoder encoder = model::load_encoder(folder);
  encoder->to(device, dtype);
  const int64_t batch = job.config.resources.batch_size.value_or(device.is_cuda() ? 16 : 1);
  WindowRanking ranking = ranking_of(job.config, folder);
  return {std::move(folder), std::move(encoder), background, device, dtype, batch, std::move(ranking)};
}

/// Reads clips into one packed batch [clips, 40, tokens, 64], float16.
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

/// Features of all clips, row by row [clips][width].
std::vector<std::vector<float>> features_of(const LoadedModel& model, const clips::ClipStore& store,
                                            const std::vector<clips::ClipFrames>& chosen, const Job& job,
                                            const std::function<void(int64_t, int64_t)>& progress) {
  const c10::InferenceMode inference;
  std::vector<std::vector<float>> rows;
  for (size_t first = 0; first < chosen.size();) {
    if (job.stop) {
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

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string column_name(size_t dimension) {
  char text[32];
  std::snprintf(text, sizeof text, "dim_%04zu", dimension);
  return text;
}

/// The table: a row for each clip in time order, and the run's mean as the last row.
std::string table_text(const std::vector<clips::ClipFrames>& chosen,
                       const std::vector<std::vector<float>>& rows, const clips::ClipStore& store) {
  const double tr = store.repetition_time_s();
  const double start = std::stod(store.get("first_frame_s"));
  const size_t width = rows.front().size();
  std::string text = "level\tclip\tonset\tduration\tn_frames\tframes";
  for (size_t d = 0; d < width; ++d) {
    text += "\t" + column_name(d);
  }
  text += "\n";
  std::vector<double> mean(width, 0.0);
  for (size_t clip = 0; clip < rows.size(); ++clip) {
    const clips::Window span{chosen[clip].front().first, chosen[clip].back().last};
    text += "clip\t" + std::to_string(clip) + "\t" + number(start + static_cast<double>(span.first) * tr) +
            "\t" + number(static_cast<double>(span.last - span.first) * tr) + "\t" +
            std::to_string(kClipFrames) + "\t" + clips::describe(chosen[clip]);
    for (size_t d = 0; d < width; ++d) {
      text += "\t" + number(rows[clip][d]);
      mean[d] += rows[clip][d];
    }
    text += "\n";
  }
  text += "run\tn/a\t" + number(start) + "\t" + number(static_cast<double>(store.n_frames()) * tr) + "\t" +
          std::to_string(static_cast<int64_t>(rows.size()) * kClipFrames) + "\tn/a";
  for (const double sum : mean) {
    text += "\t" + number(static_cast<double>(static_cast<float>(sum / static_cast<double>(rows.size()))));
  }
  return text + "\n";
}

nlohmann::json column_descriptions(size_t width) {
  nlohmann::json columns{
      {"level",
       {{"Description", "What the row stands for."},
        {"Levels", {{"clip", "one 40-frame clip"}, {"run", "mean of the run's clips"}}}}},
      {"clip", {{"Description", "Number of the clip in time order, from 0."}}},
      {"onset",
       {{"Description", "Start of the clip's first frame, from the first volume of the input file."},
        {"Units", "s"}}},
      {"duration",
       {{"Description", "From the clip's first frame to the end of its last one."}, {"Units", "s"}}},
      {"n_frames", {{"Description", "Frames that the model saw."}}},
      {"frames", {{"Description", "Stored frames of the clip: first-last of each window, counted from 0."}}}};
  for (size_t d = 0; d < width; ++d) {
    columns[column_name(d)] = {{"Description", "Dimension " + std::to_string(d) +
                                                   " of the feature (mean over final cells, then norm)."},
                               {"Units", "arbitrary"}};
  }
  return columns;
}

nlohmann::json sidecar_of(const Job& job, const bids::BoldRun& run, const LoadedModel& model,
                          const clips::ClipStore& store, const std::string& hash,
                          const nlohmann::json& fingerprints, size_t width) {
  const std::string note = model::untrained_note(model.folder.card);
  nlohmann::json block =
      slimbrain_block({.stage = "embed",
                       .epoch = kEmbedEpoch,
                       .hash = hash,
                       .parent_hash = store.get("configuration_hash"),
                       .fingerprints = fingerprints,
                       .more = {{"Model",
                                 {{"Name", model.folder.card.name},
                                  {"WeightsSHA256", model.folder.card.weights_sha256},
                                  {"Trained", model.folder.card.trained}}},
                                {"Background", model::name_of(model.background)},
                                {"Ranker", job.config.embed.ranker},
                                {"ZScore", store.get("zscore")},
                                {"SourceRepetitionTime", std::stod(store.get("source_repetition_time_s"))},
                                {"RepetitionTime", store.repetition_time_s()},
                                {"Device", model.device.is_cuda() ? "cuda" : "cpu"},
                                {"Precision", job.config.resources.precision}}});
  nlohmann::json sidecar = grid_sidecar(
      run, "Embeddings of this run's clips by the SLIM-Brain encoder." + (note.empty() ? "" : " " + note),
      {"bids::" + bids::DerivativeDataset::relative_path(clip_store_name(run))}, block);
  sidecar.update(column_descriptions(width));
  return sidecar;
}

UnitReport embed_run(const Job& job, const bids::BoldRun& run, const LoadedModel& model,
                     const std::string& hash, const std::function<void(int64_t, int64_t)>& progress) {
  const fs::path path = job.output.path_of(clip_store_name(run));
  if (!fs::exists(path)) {
    throw Error(message::kMissingPath, "There is no clip store of this run.",
                {.file = path.string(), .remedy = "add prep to --stages"});
  }
  const bids::BidsName name = embedding_name(run, model.folder.card.name);
  const nlohmann::json fingerprints{{"bids::" + bids::DerivativeDataset::relative_path(clip_store_name(run)),
                                     bids::input_fingerprint(path)}};
  if (!job.config.run.force && is_current(job, name, hash, fingerprints)) {
    return {Outcome::UpToDate};
  }
  job.output.remove_stale_partials(run.participant);
  const clips::ClipStore store = clips::ClipStore::open(path);
  if (model.folder.config.zscore && *model.folder.config.zscore != store.get("zscore")) {
    throw Error(message::kUnfitModel,
                "The model expects z-scores per " + *model.folder.config.zscore +
                    ", this run was prepared per " + store.get("zscore") + ".",
                {.file = path.string(), .remedy = "prepare with --zscore " + *model.folder.config.zscore});
  }
  const std::vector<clips::ClipFrames> chosen =
      ranked_clips({job.output, job.stop, job.config.run.force}, run, store, model.ranking);
  if (chosen.empty()) {
    throw Error(message::kTooShort,
                "The run has " + std::to_string(store.n_frames()) + " frames; a clip needs 40.",
                {.file = path.string()});
  }
  const std::vector<std::vector<float>> rows = features_of(model, store, chosen, job, progress);
  const std::string text = table_text(chosen, rows, store);
  job.output.commit(name, sidecar_of(job, run, model, store, hash, fingerprints, rows.front().size()),
                    [&](const fs::path& target) { write_text(target, text); });
  return {Outcome::Done, std::to_string(rows.size()) + (rows.size() == 1 ? " clip" : " clips")};
}

std::string embed_hash(const Job& job, const LoadedModel& model) {
  return configuration_hash({{"stage", "embed"},
                             {"epoch", kEmbedEpoch},
                             {"settings", science_of(job.fields, "embed")},
                             {"background", model::name_of(model.background)},
                             {"precision", job.config.resources.precision},
                             {"weights", model.folder.card.weights_sha256}});
}

}  // namespace

fs::path find_model(const std::string& model, const fs::path& out_dir) {
  if (model.empty()) {
    throw Error(
        message::kNoModel, "Stage embed needs a model and --model names none.",
        {.remedy = "--model DIR (slimbrain-model import makes one of a .pth file), or --stages prep"});
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

std::string check_embedding(const Config& config, const fs::path& out_dir, Log& log) {
  const model::ModelFolder folder = model::open_model(find_model(config.embed.model, out_dir));
  ranking_of(config, folder);
  if (folder.config.token_mask_sha256 &&
      *folder.config.token_mask_sha256 != packaged_token_set().mask_sha256) {
    throw Error(message::kUnfitModel, "The model was made for another token set.",
                {.file = folder.path.string(),
                 .expected = packaged_token_set().mask_sha256,
                 .found = *folder.config.token_mask_sha256});
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
  return choice.name;
}

void run_embed(const Job& job) {
  at::set_num_threads(job.threads);
  LoadedModel model = load(job);
  const std::string hash = embed_hash(job, model);
  for_each_run(job, "embed", 1, [&](const bids::BoldRun& run, const auto& progress) {
    try {
      return embed_run(job, run, model, hash, progress);
    } catch (const c10::OutOfMemoryError&) {
      if (model.batch == 1) {
        throw Error(message::kNoMemory, "The device's memory does not hold one clip.",
                    {.remedy = "use a device with more memory, or --device cpu"});
      }
      model.batch = (model.batch + 3) / 4;
      job.log.warn("the device's memory was short: going on with " + std::to_string(model.batch) +
                   " clips a batch");
    }
    return embed_run(job, run, model, hash, progress);
  });
}

}  // namespace slim::pipelines
