// SPDX-License-Identifier: Apache-2.0
#include "pipelines/pretrain_model.h"

#include <algorithm>
#include <set>

#include "core/atomic_file.h"
#include "core/slim_grid.h"
#include "evaluate/splits_table.h"
#include "pipelines/stage1_atlas.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

model::ModelConfig config_of(const PretrainedModel& done) {
  const train::PretrainingOptions& options = done.options.pretraining;
  model::PredictorShape predictor = options.jepa.predictor.shape();
  if (options.objective != train::Objective::Jepa) {
    predictor.output = model::mae_output(options.mae_frames);
  }
  const std::set<std::string>& times = done.cohort.repetition_times;
  return {.encoder = options.jepa.encoder,
          .fusion = options.jepa.fusion,
          .predictor = predictor,
          .head_outputs = {},
          .stage1 = done.stage1.config,
          .objective = done.job.config.train.objective,
          .background = "token",
          .grid = kSlimGridName,
          .token_mask_sha256 = packaged_token_set().mask_sha256,
          .zscore = *done.cohort.zscores.begin(),
          .repetition_time_s = times.size() == 1 ? std::optional(std::stod(*times.begin())) : std::nullopt};
}

model::ModelCard card_of(const PretrainedModel& done) {
  const TrainOptions& train = done.job.config.train;
  std::set<std::string> datasets;
  for (const StoredRun* run : done.cohort.runs) {
    datasets.insert(run->dataset);
  }
  const std::vector<evaluate::SplitRow>& rows = done.cohort.splits.rows;
  const auto participants = std::count_if(rows.begin(), rows.end(),
                                          [](const auto& row) { return row.role == evaluate::Role::Train; });
  const bool jepa = done.options.pretraining.objective == train::Objective::Jepa;
  return {.name = train.model_name.empty() ? train.preset : train.model_name,
          .trained = true,
          .made_by = "pretrain",
          .seed = done.options.sampler.seed,
          .training = model::ModelTraining{
              .objective = train.objective,
              .encoder = jepa ? "target" : "online",
              .datasets = {datasets.begin(), datasets.end()},
              .participants = participants,
              .runs = static_cast<int64_t>(done.cohort.runs_of(evaluate::Role::Train).size()),
              .epochs = done.options.epochs,
              .steps = done.trained.steps,
              .clips = done.trained.samples,
              .clip_source = std::string(train::name_of(done.options.sampler.source)),
              .verdict = std::string(name_of(done.trained.verdict))}};
}

void copy_logs(const fs::path& from, const fs::path& to) {
  create_folder(to);
  for (const char* name : {"history.tsv", "history.json", "metrics.jsonl", "events.out.tfevents.slimbrain"}) {
    write_text(to / name, read_text(from / name));
  }
}

}  // namespace

void write_pretrained(const fs::path& folder, const PretrainedModel& done) {
  const model::ModelConfig config = config_of(done);
  train::Parameters all = done.trained.weights;
  all.insert(done.stage1.weights.begin(), done.stage1.weights.end());
  std::vector<model::WeightSource> weights;
  for (const TensorSpec& spec : model::configured_tensors(config)) {
    weights.push_back({.spec = spec, .make = [&all, name = spec.name] {
                         const auto found = all.find(name);
                         return found == all.end() ? std::vector<float>() : model::values_of(found->second);
                       }});
  }
  model::write_model(folder, config, card_of(done), weights, [&](const fs::path& partial) {
    write_text(partial / "splits.tsv", evaluate::splits_tsv(std::span(&done.cohort.splits, 1)));
    copy_logs(done.work, partial);
    if (config.stage1) {
      copy_logs(done.work / "stage1", partial / "stage1");
      write_stage1_atlas(partial, *config.stage1, done.labels);
    }
  });
}

}  // namespace slim::pipelines
