// SPDX-License-Identifier: Apache-2.0
#include "pipelines/predict.h"

#include "core/atomic_file.h"
#include "model/checkpoint/model_tool.h"
#include "model/device/device.h"
#include "pipelines/embed.h"
#include "pipelines/model_history.h"
#include "pipelines/model_stage.h"
#include "pipelines/sidecar.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Raised when the numbers of this stage change, so that older results become stale.
constexpr int kPredictEpoch = 1;

/// What a participant was to the model.
struct Part {
  std::string split;       // train, validation, test or none
  std::string pretrained;  // true, false; n/a where nobody wrote down who was learnt from
};

Part part_of(const ModelHistory& history, const std::string& participant) {
  const std::string key = own_key(participant);
  return {.split = history.split_of(key),
          .pretrained = !history.known                ? "n/a"
                        : history.was_pretrained(key) ? "true"
                                                      : "false"};
}

std::string prediction_cells(const Head& head, std::span<const double> outputs) {
  const evaluate::Aggregate together = head.aggregate(outputs);
  const bool numbers = head.target.classes.empty();
  std::string text = numbers ? number_cell(together.prediction)
                             : head.target.classes[static_cast<size_t>(together.prediction)];
  text += "\t" + (together.sd ? number_cell(*together.sd) : "n/a");
  for (const double probability : together.probabilities) {
    text += "\t" + number_cell(probability);
  }
  return text;
}

/// A row for each clip in time order, and the run's as the last one.
std::string table_text(const RunClips& clips, const Head& head, const std::vector<double>& outputs,
                       const Part& part) {
  std::string text = "level\tclip\tonset\tduration\tprediction\tsd";
  for (const std::string& name : head.target.classes) {
    text += "\tprobability_" + name;
  }
  text += "\tsplit\tpretrained\n";
  const std::string ending = "\t" + part.split + "\t" + part.pretrained + "\n";
  const auto per_clip = static_cast<size_t>(head.target.outputs());
  for (size_t clip = 0; clip < clips.chosen.size(); ++clip) {
    text += "clip\t" + std::to_string(clip) + "\t" + time_cells(clips.store, clips.chosen[clip]) + "\t" +
            prediction_cells(head, std::span(outputs).subspan(clip * per_clip, per_clip)) + ending;
  }
  return text + "run\tn/a\t" + time_cells(clips.store) + "\t" + prediction_cells(head, outputs) + ending;
}

nlohmann::json column_descriptions(const model::HeadTarget& target) {
  const bool numbers = target.classes.empty();
  const std::string units = target.units.empty() ? "n/a" : target.units;
  nlohmann::json prediction{{"Description", "Predicted " + target.name + "."}};
  nlohmann::json sd;
  if (numbers) {
    prediction["Units"] = units;
    sd = {{"Description", "Standard deviation of the prediction over the run's clips."}, {"Units", units}};
  } else {
    prediction["Levels"] = nlohmann::json::object();
    for (const std::string& name : target.classes) {
      prediction["Levels"][name] = "class " + name + " of " + target.column;
    }
    sd = {{"Description",
           "Standard deviation, over the run's clips, of the probability of the predicted class."},
          {"Units", "1"}};
  }
  nlohmann::json columns = clip_column_descriptions("the run: outputs averaged over its clips");
  columns.update(
      {{"prediction", prediction},
       {"sd", sd},
       {"split",
        {{"Description",
          "What the participant was to the model's head, by its name in the model's splits.tsv."},
         {"Levels",
          {{"train", "learnt from"},
           {"validation", "used to choose among trainings"},
           {"test", "held out"},
           {"none", "not among the participants of the training"}}}}},
       {"pretrained",
        {{"Description", "Whether pre-training of the encoder learnt from the participant; n/a: not known."},
         {"Levels", {{"true", "it did"}, {"false", "it did not"}}}}}});
  for (const std::string& name : target.classes) {
    columns["probability_" + name] = {{"Description", "Probability of class " + name + " (softmax)."},
                                      {"Units", "1"}};
  }
  return columns;
}

nlohmann::json sidecar_of(const Job& job, const bids::BoldRun& run, const LoadedModel& model,
                          const Head& head, const clips::ClipStore& store, const std::string& hash,
                          const nlohmann::json& fingerprints) {
  const std::string note = model::untrained_note(model.folder.card);
  nlohmann::json more = model_facts(job, model, store);
  more["Target"] = target_facts(head.target);
  const nlohmann::json block = slimbrain_block({.stage = "predict",
                                                .epoch = kPredictEpoch,
                                                .hash = hash,
                                                .parent_hash = store.get("configuration_hash"),
                                                .fingerprints = fingerprints,
                                                .more = more});
  nlohmann::json sidecar =
      grid_sidecar(run,
                   "Predictions of " + head.target.name + " for this run and its clips by model " +
                       model.folder.card.name + "." + (note.empty() ? "" : " " + note),
                   {store_uri(run)}, block);
  sidecar.update(column_descriptions(head.target));
  return sidecar;
}

UnitReport predict_run(const Job& job, const bids::BoldRun& run, const LoadedModel& model, const Head& head,
                       const Part& part, const std::function<void(int64_t, int64_t)>& progress) {
  nlohmann::json settings = model_settings(job, model);
  settings.update({{"stage", "predict"},
                   {"epoch", kPredictEpoch},
                   {"target", target_facts(head.target)},
                   {"split", part.split},
                   {"pretrained", part.pretrained}});
  const std::string hash = configuration_hash(settings);
  const bids::BidsName name = predictions_name(run, head.target.name);
  const nlohmann::json fingerprints = store_fingerprint(job, run);
  if (!job.config.run.force && is_current(job, name, hash, fingerprints)) {
    return {Outcome::UpToDate};
  }
  job.output.remove_stale_partials(run.participant);
  const RunClips clips = run_clips(job, run, model);
  const std::vector<double> outputs = head.outputs(features_of_run(job, run, model, clips, progress));
  const std::string text = table_text(clips, head, outputs, part);
  job.output.commit(name, sidecar_of(job, run, model, head, clips.store, hash, fingerprints),
                    [&](const fs::path& target) { write_text(target, text); });
  std::string said = prediction_cells(head, outputs);
  said.resize(said.find('\t'));
  return {Outcome::Done, head.target.name + " " + said};
}

}  // namespace

bids::BidsName predictions_name(const bids::BoldRun& run, const std::string& target) {
  return grid_name(run).with("desc", target).with_suffix("predictions").with_extension(".tsv");
}

nlohmann::json target_facts(const model::HeadTarget& target) {
  nlohmann::json facts{{"Name", target.name}, {"Column", target.column}};
  if (target.classes.empty()) {
    facts.update({{"Units", target.units}, {"Mean", target.mean}, {"SD", target.sd}});
  } else {
    facts["Classes"] = target.classes;
  }
  return facts;
}

void run_predict(const Job& job) {
  model::settle_cpu(job.threads);
  LoadedModel model = load_model(job.config, job.output.root(), job.device);
  const Head head = head_of(model.folder);
  const ModelHistory history = model_history(model.folder);
  for_each_run_of_model(job, "predict", model, [&](const bids::BoldRun& run, const auto& progress) {
    return predict_run(job, run, model, head, part_of(history, run.participant), progress);
  });
}

}  // namespace slim::pipelines
