// SPDX-License-Identifier: Apache-2.0
#include "pipelines/embed.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>

#include "bids/fingerprint.h"
#include "clips/clip_store.h"
#include "clips/window.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "model/checkpoint/model_tool.h"
#include "pipelines/loaded_model.h"
#include "pipelines/sidecar.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Raised when the numbers of this stage change, so that older results become stale.
constexpr int kEmbedEpoch = 1;

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
                                {"Ranker", clips::name_of(model.ranking.options.ranker)},
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
  check_zscore(model.folder, store, path);
  const std::vector<clips::ClipFrames> chosen =
      ranked_clips({job.output, job.stop, job.config.run.force}, run, store, model.ranking);
  if (chosen.empty()) {
    throw Error(message::kTooShort,
                "The run has " + std::to_string(store.n_frames()) + " frames; a clip needs 40.",
                {.file = path.string()});
  }
  const std::vector<std::vector<float>> rows = features_of(model, store, chosen, job.stop, progress);
  const std::string text = table_text(chosen, rows, store);
  job.output.commit(name, sidecar_of(job, run, model, store, hash, fingerprints, rows.front().size()),
                    [&](const fs::path& target) { write_text(target, text); });
  return {Outcome::Done, std::to_string(rows.size()) + (rows.size() == 1 ? " clip" : " clips")};
}

std::string embed_hash(const Job& job, const LoadedModel& model) {
  return configuration_hash({{"stage", "embed"},
                             {"epoch", kEmbedEpoch},
                             {"ranker", clips::name_of(model.ranking.options.ranker)},
                             {"background", model::name_of(model.background)},
                             {"precision", job.config.resources.precision},
                             {"weights", model.folder.card.weights_sha256}});
}

}  // namespace

void run_embed(const Job& job) {
  at::set_num_threads(job.threads);
  LoadedModel model = load_model(job.config, job.output.root(), job.device);
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
