// SPDX-License-Identifier: Apache-2.0
#include "pipelines/embedding_features.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bids/fingerprint.h"
#include "bids/tsv.h"
#include "clips/clip_store.h"
#include "core/error.h"
#include "core/json_file.h"
#include "core/slim_grid.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// The block Slimbrain of a table's sidecar.
nlohmann::json block_of(const fs::path& table) {
  fs::path sidecar = table;
  return read_json(sidecar.replace_extension(".json")).value("Slimbrain", nlohmann::json::object());
}

/// Weights whose encoder is the model's.
std::set<std::string> weights_of(const model::ModelFolder& model) {
  std::set<std::string> weights{model.card.weights_sha256};
  if (model.card.tuning && model.card.tuning->method == "linear") {
    weights.insert(model.card.tuning->parent);
  }
  return weights;
}

/// An embedding table that is the model's and of the store as it is now.
struct Found {
  fs::path path;
  std::string ranker, background;
};

std::optional<Found> find_table(const StoredRun& run, const std::set<std::string>& weights) {
  const std::string uri = "bids::" + run.store;
  for (const auto& [label, file] : run.embeddings) {
    const nlohmann::json block = block_of(run.root / file);
    const std::string hash = block.value("Model", nlohmann::json::object()).value("WeightsSHA256", "");
    if (weights.contains(hash) && block.value("InputFingerprints", nlohmann::json::object()).value(uri, "") ==
                                      bids::input_fingerprint(run.root / run.store)) {
      return Found{run.root / file, block.value("Ranker", ""), block.value("Background", "")};
    }
  }
  return std::nullopt;
}

void check_one(const std::string& what, const std::string& before, const std::string& now,
               const fs::path& file) {
  if (before != now) {
    throw Error(message::kUnfitModel, "Embeddings were made with more than one " + what + ".",
                {.file = file.string(),
                 .expected = before + " as of the others",
                 .found = now,
                 .remedy = "embed all runs anew with one " + what});
  }
}

void read_clips(const fs::path& path, const StoredRun& run, EmbeddingFeatures& features) {
  const bids::Table table = bids::read_tsv(path);
  const auto level = table.column("level"), frames = table.column("frames"), first = table.column("dim_0000");
  const auto columns = first ? static_cast<int64_t>(table.columns.size() - *first) : 0;
  if (!level || !frames || columns == 0 || (features.columns != 0 && features.columns != columns)) {
    throw Error(message::kBadTable, "This is no table of embeddings, or it has another width than others.",
                {.file = path.string()});
  }
  features.columns = columns;
  for (const std::vector<std::string>& row : table.rows) {
    if (row[*level] != "clip") {
      continue;
    }
    for (size_t c = *first; c < row.size(); ++c) {
      const std::optional<double> value = bids::to_number(row[c]);
      if (!value || !std::isfinite(*value)) {
        throw Error(message::kBadTable, "An embedding is no number.",
                    {.file = path.string(), .found = row[c]});
      }
      features.values.push_back(*value);
    }
    features.run_of.push_back(&run);
    features.frames.push_back(row[*frames]);
  }
}

[[noreturn]] void refuse_missing(const std::vector<const StoredRun*>& missing, size_t runs,
                                 const std::string& model, const std::string& ranker) {
  const StoredRun& first = *missing.front();
  throw Error(
      message::kMissingPath,
      std::to_string(missing.size()) + " of " + std::to_string(runs) +
          " runs have no current embedding by model " + model + ".",
      {.file = (first.root / first.store).string(),
       .remedy = "slimbrain BIDS_DIR " + first.root.string() + " participant --stages embed --model " +
                 model + (ranker.empty() ? "" : " --ranker " + ranker)});
}

}  // namespace

evaluate::FeatureTable EmbeddingFeatures::means(
    const std::function<std::string(const StoredRun&)>& key_of) const {
  evaluate::FeatureTable clips_of_keys{.columns = columns, .keys = {}, .values = {}};
  for (size_t clip = 0; clip < run_of.size(); ++clip) {
    const std::string key = key_of(*run_of[clip]);
    if (!key.empty()) {
      const auto row = values.begin() + static_cast<std::ptrdiff_t>(clip) * columns;
      clips_of_keys.keys.push_back(key);
      clips_of_keys.values.insert(clips_of_keys.values.end(), row, row + columns);
    }
  }
  return evaluate::mean_by_key(clips_of_keys);
}

std::vector<const StoredRun*> usable_runs(const GroupJob& job) {
  std::vector<const StoredRun*> runs;
  for (const StoredRun& run : job.runs) {
    if (run.store.empty()) {
      continue;
    }
    if (clips::ClipStore::open(run.root / run.store).n_frames() >= kClipFrames) {
      runs.push_back(&run);
    } else {
      job.log.warn(run.unit() + " is left out: it has fewer than " + std::to_string(kClipFrames) +
                   " frames, one clip");
    }
  }
  return runs;
}

EmbeddingFeatures embedding_features(const GroupJob& job, const model::ModelFolder& model,
                                     std::span<const StoredRun* const> runs) {
  const std::set<std::string> weights = weights_of(model);
  EmbeddingFeatures features;
  std::vector<const StoredRun*> missing;
  for (const StoredRun* run : runs) {
    const std::optional<Found> found = find_table(*run, weights);
    if (!found) {
      missing.push_back(run);
      continue;
    }
    if (features.clips() == 0) {
      features.ranker = found->ranker;
      features.background = found->background;
    }
    check_one("ranker", features.ranker, found->ranker, found->path);
    check_one("background mode", features.background, found->background, found->path);
    read_clips(found->path, *run, features);
  }
  const std::string& asked = job.config.embed.ranker;
  if (!missing.empty()) {
    refuse_missing(missing, runs.size(), job.config.embed.model, asked);
  }
  if (!asked.empty() && features.clips() > 0 && asked != features.ranker) {
    throw Error(message::kUnfitModel, "The embeddings were made with another ranker than this call's.",
                {.expected = asked, .found = features.ranker, .remedy = "embed anew with --ranker " + asked});
  }
  return features;
}

}  // namespace slim::pipelines
