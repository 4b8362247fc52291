// SPDX-License-Identifier: Apache-2.0
#include "pipelines/embed.h"

#include <cstdio>

#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "model/checkpoint/model_tool.h"
#include "model/device/device.h"
#include "pipelines/sidecar.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Raised when the numbers of this stage change, so that older results become stale.
constexpr int kEmbedEpoch = 1;

std::string column_name(size_t dimension) {
  char text[32];
  std::snprintf(text, sizeof text, "dim_%04zu", dimension);
  return text;
}

/// The table: a row for each clip in time order, and the run's mean as the last row.
std::string table_text(const RunClips& clips, const std::vector<std::vector<float>>& rows) {
  const size_t width = rows.front().size();
  std::string text = "level\tclip\tonset\tduration\tn_frames\tframes";
  for (size_t d = 0; d < width; ++d) {
    text += "\t" + column_name(d);
  }
  text += "\n";
  std::vector<double> mean(width, 0.0);
  for (size_t clip = 0; clip < rows.size(); ++clip) {
    text += "clip\t" + std::to_string(clip) + "\t" + time_cells(clips.store, clips.chosen[clip]) + "\t" +
            std::to_string(kClipFrames) + "\t" + clips::describe(clips.chosen[clip]);
    for (size_t d = 0; d < width; ++d) {
      text += "\t" + number_cell(rows[clip][d]);
      mean[d] += rows[clip][d];
    }
    text += "\n";
  }
  text += "run\tn/a\t" + time_cells(clips.store) + "\t" +
          std::to_string(static_cast<int64_t>(rows.size()) * kClipFrames) + "\tn/a";
  for (const double sum : mean) {
    text +=
        "\t" + number_cell(static_cast<double>(static_cast<float>(sum / static_cast<double>(rows.size()))));
  }
  return text + "\n";
}

nlohmann::json column_descriptions(size_t width) {
  nlohmann::json columns = clip_column_descriptions("mean of the run's clips");
  columns.update(
      {{"n_frames", {{"Description", "Frames that the model saw."}}},
       {"frames",
        {{"Description", "Stored frames of the clip: first-last of each window, counted from 0."}}}});
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
  const nlohmann::json block = slimbrain_block({.stage = "embed",
                                                .epoch = kEmbedEpoch,
                                                .hash = hash,
                                                .parent_hash = store.get("configuration_hash"),
                                                .fingerprints = fingerprints,
                                                .more = model_facts(job, model, store)});
  nlohmann::json sidecar = grid_sidecar(
      run, "Embeddings of this run's clips by the SLIM-Brain encoder." + (note.empty() ? "" : " " + note),
      {store_uri(run)}, block);
  sidecar.update(column_descriptions(width));
  return sidecar;
}

std::string embed_hash(const Job& job, const LoadedModel& model) {
  nlohmann::json settings = model_settings(job, model);
  settings.update({{"stage", "embed"}, {"epoch", kEmbedEpoch}});
  return configuration_hash(settings);
}

UnitReport embed_run(const Job& job, const bids::BoldRun& run, const LoadedModel& model,
                     const std::string& hash, const std::function<void(int64_t, int64_t)>& progress) {
  const bids::BidsName name = embedding_name(run, model.folder.card.name);
  const nlohmann::json fingerprints = store_fingerprint(job, run);
  if (!job.config.run.force && is_current(job, name, hash, fingerprints)) {
    return {Outcome::UpToDate};
  }
  job.output.remove_stale_partials(run.participant);
  const RunClips clips = run_clips(job, run, model);
  const std::vector<std::vector<float>> rows =
      features_of(model, clips.store, clips.chosen, job.stop, progress);
  const std::string text = table_text(clips, rows);
  job.output.commit(name, sidecar_of(job, run, model, clips.store, hash, fingerprints, rows.front().size()),
                    [&](const fs::path& target) { write_text(target, text); });
  return {Outcome::Done, std::to_string(rows.size()) + (rows.size() == 1 ? " clip" : " clips")};
}

/// The clip rows of an embedding table.
std::vector<std::vector<float>> features_in(const fs::path& path, size_t clips, int64_t width) {
  const bids::Table table = bids::read_tsv(path);
  const auto fail = [&] {
    throw Error(message::kBadTable, "The embedding table is not the one that was written.",
                {.file = path.string(), .remedy = "remove it, or run embed with --force"});
  };
  const size_t first = table.column("dim_0000").value_or(table.columns.size());
  if (table.rows.size() != clips + 1 || table.columns.size() - first != static_cast<size_t>(width)) {
    fail();
  }
  std::vector<std::vector<float>> rows(clips);
  for (size_t clip = 0; clip < clips; ++clip) {
    for (size_t d = first; d < table.columns.size(); ++d) {
      const std::optional<double> value = bids::to_number(table.rows[clip][d]);
      if (!value) {
        fail();
      }
      rows[clip].push_back(static_cast<float>(*value));
    }
  }
  return rows;
}

}  // namespace

void run_embed(const Job& job) {
  model::settle_cpu(job.threads);
  LoadedModel model = load_model(job.config, job.output.root(), job.device);
  const std::string hash = embed_hash(job, model);
  for_each_run_of_model(job, "embed", model, [&](const bids::BoldRun& run, const auto& progress) {
    return embed_run(job, run, model, hash, progress);
  });
}

std::vector<std::vector<float>> features_of_run(const Job& job, const bids::BoldRun& run,
                                                const LoadedModel& model, const RunClips& clips,
                                                const std::function<void(int64_t, int64_t)>& progress) {
  const bids::BidsName table = embedding_name(run, model.folder.card.name);
  if (is_current(job, table, embed_hash(job, model), store_fingerprint(job, run))) {
    return features_in(job.output.path_of(table), clips.chosen.size(), model.folder.config.encoder.width());
  }
  return features_of(model, clips.store, clips.chosen, job.stop, progress);
}

}  // namespace slim::pipelines
