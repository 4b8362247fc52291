// SPDX-License-Identifier: Apache-2.0
#include "pipelines/rank.h"

#include <optional>

#include "bids/fingerprint.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "model/window_ranker.h"
#include "pipelines/job.h"
#include "pipelines/sidecar.h"
#include "pipelines/windows_table.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Raised when the numbers of the tables change, so that older ones become stale.
constexpr int kRankEpoch = 1;

std::vector<double> scores_of(const WindowRanking& ranking, const clips::RoiMatrix& matrix,
                              const clips::Window& piece, const std::vector<clips::Window>& windows,
                              const std::atomic<bool>& stop) {
  if (ranking.options.ranker == clips::Ranker::Variance) {
    std::vector<double> scores;
    for (const clips::Window& window : windows) {
      scores.push_back(clips::window_variance(matrix, window));
    }
    return scores;
  }
  const model::RoiPiece frames{.matrix = matrix.values,
                               .valid_rois = matrix.valid,
                               .matrix_frames = matrix.frames,
                               .first = piece.first,
                               .frames = piece.last - piece.first};
  const at::Tensor& weights = ranking.network->pos_embed_roi;
  const model::RoiBatch batch = model::make_roi_batch(ranking.network->options(), std::span(&frames, 1))
                                    .to(weights.device(), weights.scalar_type());
  const auto watch = [&](int64_t, int64_t) {
    if (stop) {
      throw Error(message::kStopped, "Stopped while windows were scored.");
    }
  };
  return model::window_scores(clips::name_of(ranking.options.ranker), ranking.network, batch,
                              {.passes_at_once = ranking.passes_at_once, .watch = watch});
}

nlohmann::json column_descriptions() {
  return {
      {"onset",
       {{"Description", "Start of the window, from the first volume of the input file."}, {"Units", "s"}}},
      {"duration", {{"Description", "Length of the window."}, {"Units", "s"}}},
      {"frame_start",
       {{"Description", "First stored frame of the window, counted from 0."}, {"Units", "frames"}}},
      {"frame_stop", {{"Description", "Stored frame after the window's last one."}, {"Units", "frames"}}},
      {"score", {{"Description", "Score by the ranker; high scores are chosen."}, {"Units", "arbitrary"}}},
      {"rank", {{"Description", "Place among the windows of the same piece of the run, 1 = highest score."}}},
      {"selected",
       {{"Description", "Whether the window is part of a clip."},
        {"Levels", {{"true", "it is"}, {"false", "it is not"}}}}},
      {"clip", {{"Description", "Number of the clip that the window is part of, in time order, from 0."}}}};
}

nlohmann::json sidecar_of(const bids::BoldRun& run, const clips::ClipStore& store,
                          const WindowRanking& ranking, const std::string& key,
                          const nlohmann::json& fingerprints) {
  nlohmann::json more{{"Model", {{"Name", ranking.model}}},
                      {"WindowFrames", ranking.options.window_frames},
                      {"ZScore", store.get("zscore")}};
  more.update(ranking_facts(ranking));
  const nlohmann::json block = slimbrain_block({.stage = "rank",
                                                .epoch = kRankEpoch,
                                                .hash = key,
                                                .parent_hash = store.get("configuration_hash"),
                                                .fingerprints = fingerprints,
                                                .more = more});
  const std::string note = ranking.model_note.empty() ? "" : " " + ranking.model_note;
  nlohmann::json sidecar =
      grid_sidecar(run, "Windows of this run and which of them make up its clips." + note,
                   {"bids::" + bids::DerivativeDataset::relative_path(clip_store_name(run))}, block);
  sidecar.update(column_descriptions());
  return sidecar;
}

bool is_current(const bids::DerivativeDataset& output, const bids::BidsName& name, const std::string& key) {
  const nlohmann::json sidecar = output.committed_sidecar(name);
  const auto block = sidecar.find("Slimbrain");
  return block != sidecar.end() && block->value("ConfigurationHash", "") == key &&
         block->value("StageEpoch", 0) == kRankEpoch;
}

clips::RankOptions options_for(const WindowRanking& ranking, const RunToRank& run) {
  clips::RankOptions options = ranking.options;
  options.run_name = run.name;
  return options;
}

}  // namespace

WindowRanking complete_ranking(WindowRanking ranking) {
  const std::string ranker(clips::name_of(ranking.options.ranker));
  if (clips::has_scores(ranking.options.ranker) && ranking.labels.labels.empty()) {
    ranking.labels = clips::grid_parcellation();
  }
  if (!clips::needs_stage1(ranking.options.ranker)) {
    return ranking;
  }
  if (ranking.network.is_empty()) {
    throw Error(message::kNoModel,
                "--ranker " + ranker + " needs stage-1 weights, and model " + ranking.model + " has none.",
                {.remedy = "use --ranker variance, uniform, random, first or all"});
  }
  const model::GlobalMaeOptions& options = ranking.network->options();
  const bool other = !ranking.atlas_sha256.empty() && ranking.atlas_sha256 != ranking.labels.sha256;
  if (other || options.rois != ranking.labels.rows()) {
    throw Error(message::kUnfitModel,
                "The stage-1 weights of model " + ranking.model + " belong to another parcellation.",
                {.expected = std::to_string(options.rois) + " regions " + ranking.atlas_sha256,
                 .found = std::to_string(ranking.labels.rows()) + " regions " + ranking.labels.sha256});
  }
  ranking.options.window_frames = options.window_frames;
  ranking.stage1_sha256 = model::global_mae_sha256(ranking.network);
  return ranking;
}

nlohmann::json ranking_settings(const WindowRanking& ranking) {
  nlohmann::json settings{{"ranker", clips::name_of(ranking.options.ranker)}};
  if (clips::needs_stage1(ranking.options.ranker)) {
    settings["stage1"] = ranking.stage1_sha256;
  }
  if (clips::has_scores(ranking.options.ranker)) {
    settings["atlas"] = ranking.labels.sha256;
  }
  if (ranking.options.ranker == clips::Ranker::Random) {
    settings["seed"] = ranking.options.seed;
  }
  return settings;
}

nlohmann::json ranking_facts(const WindowRanking& ranking) {
  nlohmann::json facts{{"Ranker", clips::name_of(ranking.options.ranker)}};
  if (clips::needs_stage1(ranking.options.ranker)) {
    facts["Stage1WeightsSHA256"] = ranking.stage1_sha256;
  }
  if (clips::has_scores(ranking.options.ranker)) {
    facts["Atlas"] = {
        {"Name", ranking.labels.name}, {"SHA256", ranking.labels.sha256}, {"Regions", ranking.labels.rows()}};
  }
  if (ranking.options.ranker == clips::Ranker::Random) {
    facts["Seed"] = ranking.options.seed;
  }
  return facts;
}

std::string key_of(const WindowRanking& ranking, const RunToRank& run) {
  return clips::ranking_key({.options = options_for(ranking, run),
                             .stage1_sha256 = ranking.stage1_sha256,
                             .atlas_sha256 = ranking.labels.sha256,
                             .token_mask_sha256 = run.store.get("token_mask_sha256"),
                             .zscore = run.store.get("zscore"),
                             .store_hash = run.store.get("configuration_hash"),
                             .store_fingerprint = run.fingerprint});
}

std::vector<clips::RankedPiece> rank_run(const WindowRanking& ranking, const RunToRank& run,
                                         const std::function<const clips::RoiMatrix&()>& matrix,
                                         const std::atomic<bool>& stop) {
  const clips::RoiMatrix* known = nullptr;
  return clips::rank_pieces(run.store.n_frames(), options_for(ranking, run),
                            [&](const clips::Window& piece, const std::vector<clips::Window>& windows) {
                              known = known == nullptr ? &matrix() : known;
                              return scores_of(ranking, *known, piece, windows, stop);
                            });
}

bids::BidsName windows_name(const bids::BoldRun& run, const std::string& model) {
  return grid_name(run).with("desc", model + "windows").with_suffix("timeseries").with_extension(".tsv");
}

std::vector<clips::ClipFrames> ranked_clips(const RankCall& call, const bids::BoldRun& run,
                                            const clips::ClipStore& store, const WindowRanking& ranking) {
  if (ranking.options.ranker == clips::Ranker::All || store.n_frames() < kClipFrames) {
    return clips::clips_of(clips::rank_pieces(store.n_frames(), {.ranker = clips::Ranker::All}));
  }
  const bids::BidsName store_name = clip_store_name(run), name = windows_name(run, ranking.model);
  const RunToRank stored{.name = unit_name(grid_name(run)),
                         .store = store,
                         .fingerprint = bids::input_fingerprint(call.output.path_of(store_name))};
  const std::string key = key_of(ranking, stored);
  if (!call.force && is_current(call.output, name, key)) {
    return clips_of_table(call.output.path_of(name));
  }
  std::optional<clips::RoiMatrix> matrix;
  const std::vector<clips::RankedPiece> pieces = rank_run(
      ranking, stored,
      [&]() -> const clips::RoiMatrix& { return matrix.emplace(clips::roi_matrix(store, ranking.labels)); },
      call.stop);
  const nlohmann::json fingerprints{
      {"bids::" + bids::DerivativeDataset::relative_path(store_name), stored.fingerprint}};
  const std::string text = windows_table(pieces, store);
  call.output.commit(name, sidecar_of(run, store, ranking, key, fingerprints),
                     [&](const fs::path& target) { write_text(target, text); });
  return clips::clips_of(pieces);
}

}  // namespace slim::pipelines
