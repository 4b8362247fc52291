// SPDX-License-Identifier: Apache-2.0
#include "pipelines/model_stage.h"

#include <c10/util/Exception.h>

#include <cstdio>

#include "bids/fingerprint.h"
#include "core/error.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

fs::path store_path(const Job& job, const bids::BoldRun& run) {
  fs::path path = job.output.path_of(clip_store_name(run));
  if (!fs::exists(path)) {
    throw Error(message::kMissingPath, "There is no clip store of this run.",
                {.file = path.string(), .remedy = "add prep to --stages"});
  }
  return path;
}

}  // namespace

std::string store_uri(const bids::BoldRun& run) {
  return "bids::" + bids::DerivativeDataset::relative_path(clip_store_name(run));
}

nlohmann::json store_fingerprint(const Job& job, const bids::BoldRun& run) {
  return {{store_uri(run), bids::input_fingerprint(store_path(job, run))}};
}

RunClips run_clips(const Job& job, const bids::BoldRun& run, const LoadedModel& model) {
  const fs::path path = store_path(job, run);
  RunClips clips{.store = clips::ClipStore::open(path), .chosen = {}};
  check_zscore(model.folder, clips.store, path);
  clips.chosen = ranked_clips({job.output, job.stop, job.config.run.force}, run, clips.store, model.ranking);
  if (clips.chosen.empty()) {
    throw Error(message::kTooShort,
                "The run has " + std::to_string(clips.store.n_frames()) + " frames; a clip needs 40.",
                {.file = path.string()});
  }
  return clips;
}

nlohmann::json model_settings(const Job& job, const LoadedModel& model) {
  nlohmann::json settings = ranking_settings(model.ranking);
  settings.update({{"background", model::name_of(model.background)},
                   {"precision", job.config.resources.precision},
                   {"weights", model.folder.card.weights_sha256}});
  return settings;
}

nlohmann::json model_facts(const Job& job, const LoadedModel& model, const clips::ClipStore& store) {
  nlohmann::json facts = ranking_facts(model.ranking);
  facts.update({{"Model",
                 {{"Name", model.folder.card.name},
                  {"WeightsSHA256", model.folder.card.weights_sha256},
                  {"Trained", model.folder.card.trained}}},
                {"Background", model::name_of(model.background)},
                {"ZScore", store.get("zscore")},
                {"SourceRepetitionTime", std::stod(store.get("source_repetition_time_s"))},
                {"RepetitionTime", store.repetition_time_s()},
                {"Device", model.device.is_cuda() ? "cuda" : "cpu"},
                {"Precision", job.config.resources.precision}});
  return facts;
}

void for_each_run_of_model(const Job& job, const std::string& stage, LoadedModel& model,
                           const UnitWork& work) {
  for_each_run(job, stage, 1, [&](const bids::BoldRun& run, const auto& progress) {
    while (true) {
      try {
        return work(run, progress);
      } catch (const c10::OutOfMemoryError&) {
        if (model.batch == 1) {
          throw Error(message::kNoMemory, "The device's memory does not hold one clip.",
                      {.remedy = "use a device with more memory, or --device cpu"});
        }
        model.batch = (model.batch + 3) / 4;
        job.log.warn("the device's memory was short: going on with " + std::to_string(model.batch) +
                     " clips a batch");
      }
    }
  });
}

}  // namespace slim::pipelines
