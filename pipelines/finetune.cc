// SPDX-License-Identifier: Apache-2.0
#include "pipelines/finetune.h"

#include <array>
#include <cstring>
#include <set>

#include "clips/average_brain.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "evaluate/splits_table.h"
#include "pipelines/model_history.h"
#include "pipelines/tuning.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Files that a training in epochs leaves.
constexpr std::array kHistories{"history.tsv", "history.json", "metrics.jsonl",
                                "events.out.tfevents.slimbrain"};
/// Regions that stage-1 weights belong to, where they are not the cells.
constexpr const char* kAtlas = "atlas.safetensors";

std::vector<float> parent_values(const model::ModelFolder& parent, const TensorSpec& spec) {
  const std::span<const std::byte> bytes = parent.weights.data(*parent.weights.find(spec.name));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

/// The run of each clip that was learnt from: of all but the test cases for a linear head, else of the
/// training ones.
std::vector<const StoredRun*> learnt_from(const TuningPlan& plan, const std::string& method) {
  std::set<std::string> cases;
  for (const evaluate::SplitRow& row : plan.problem.splits.rows) {
    const bool learnt =
        row.role == evaluate::Role::Train || (method == "linear" && row.role == evaluate::Role::Validation);
    if (learnt) {
      cases.insert(row.key);
    }
  }
  std::vector<const StoredRun*> run_of_clip;
  for (const StoredRun* run : plan.features.run_of) {
    if (cases.contains(plan.target.case_of(*run))) {
      run_of_clip.push_back(run);
    }
  }
  return run_of_clip;
}

void count_learnt(const std::vector<const StoredRun*>& run_of_clip, model::ModelTuning& tuning) {
  std::set<std::string> participants, datasets;
  const std::set<const StoredRun*> runs(run_of_clip.begin(), run_of_clip.end());
  for (const StoredRun* run : runs) {
    participants.insert(participant_key(*run));
    datasets.insert(run->dataset);
  }
  tuning.clips = static_cast<int64_t>(run_of_clip.size());
  tuning.participants = static_cast<int64_t>(participants.size());
  tuning.runs = static_cast<int64_t>(runs.size());
  tuning.datasets = {datasets.begin(), datasets.end()};
}

/// What a participant is compared with when a prediction is explained.
clips::AverageBrain average_of(const std::vector<const StoredRun*>& run_of_clip) {
  std::set<fs::path> stores;  // sorted, so that equal calls give equal bytes
  for (const StoredRun* run : run_of_clip) {
    stores.insert(run->root / run->store);
  }
  return clips::average_brain(std::vector<fs::path>(stores.begin(), stores.end()));
}

model::ModelConfig config_of(const TuningPlan& plan, const TunedHead& head) {
  model::ModelConfig config = plan.parent.config;
  config.fusion = false;  // serves pre-training only
  config.predictor = {};
  config.head_outputs = head.target.outputs();
  config.head_target = head.target;
  config.background = plan.features.background;  // what the head learnt with
  return config;
}

model::ModelCard card_of(const GroupJob& job, const TuningPlan& plan, const TunedHead& head,
                         const std::vector<const StoredRun*>& run_of_clip) {
  model::ModelCard card = plan.parent.card;  // source and pre-training stay
  card.name = plan.name;
  card.made_by = "finetune";
  card.seed = static_cast<uint64_t>(job.config.train.seed);
  card.tuning = head.tuning;
  card.tuning->parent = plan.parent.card.weights_sha256;
  card.tuning->ranker = plan.features.ranker;
  count_learnt(run_of_clip, *card.tuning);
  if (head.tuning.method == "finetune") {  // every weight of the encoder has learnt
    card.trained = true;
    card.initialised_tensors.clear();
  }
  return card;
}

void publish(const GroupJob& job, const TuningPlan& plan, const TunedHead& head) {
  const model::ModelConfig config = config_of(plan, head);
  std::vector<model::WeightSource> weights;
  for (const TensorSpec& spec : model::configured_tensors(config)) {
    weights.push_back({.spec = spec, .make = [&plan, &head, spec] {
                         const auto learnt = head.weights.find(spec.name);
                         return learnt == head.weights.end() ? parent_values(plan.parent, spec)
                                                             : learnt->second;
                       }});
  }
  const std::vector<const StoredRun*> run_of_clip = learnt_from(plan, head.tuning.method);
  const clips::AverageBrain average = average_of(run_of_clip);
  std::error_code ignored;
  if (job.config.run.force) {  // now that the new one is there
    fs::remove_all(plan.folder, ignored);
  }
  model::write_model(plan.folder, config, card_of(job, plan, head, run_of_clip), weights,
                     [&](const fs::path& partial) {
                       clips::write_average_brain(partial / clips::kAverageBrainFile, average);
                       write_text(partial / "splits.tsv", evaluate::splits_tsv(std::span(&plan.splits, 1)));
                       write_text(partial / "parent_splits.tsv", parent_splits_tsv(plan.parent));
                       for (const char* name : kHistories) {
                         if (head.tuning.method == "finetune") {
                           write_text(partial / name, read_text(plan.work / name));
                         }
                       }
                       if (fs::exists(plan.parent.path / kAtlas)) {
                         fs::copy_file(plan.parent.path / kAtlas, partial / kAtlas);
                       }
                     });
  fs::remove_all(plan.work, ignored);
}

}  // namespace

void run_finetune(const GroupJob& job) {
  const TuningPlan plan = plan_tuning(job);
  const TunedHead head =
      job.config.evaluate.head == "linear" ? linear_head(job, plan) : tuned_encoder(job, plan);
  publish(job, plan, head);
  job.log.say(Level::Normal, "finetune: " + plan.folder.string() + " predicts " + plan.target.column);
}

}  // namespace slim::pipelines
