// SPDX-License-Identifier: Apache-2.0
#include "pipelines/rank.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "bids/fingerprint.h"
#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "model/window_ranker.h"
#include "pipelines/job.h"
#include "pipelines/sidecar.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Raised when the numbers of the tables change, so that older ones become stale.
constexpr int kRankEpoch = 1;

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

/// Scores the windows of one run's pieces. The matrix is computed once.
class RunScores {
 public:
  RunScores(const RankCall& call, const clips::ClipStore& store, const WindowRanking& ranking)
      : call_(call), store_(store), ranking_(ranking) {}

  std::vector<double> operator()(const clips::Window& piece, const std::vector<clips::Window>& windows) {
    if (!matrix_) {
      matrix_ = clips::roi_matrix(store_, ranking_.labels);
    }
    if (ranking_.options.ranker == clips::Ranker::Variance) {
      std::vector<double> scores;
      for (const clips::Window& window : windows) {
        scores.push_back(clips::window_variance(*matrix_, window));
      }
      return scores;
    }
    const model::RoiPiece frames{.matrix = matrix_->values,
                                 .valid_rois = matrix_->valid,
                                 .matrix_frames = matrix_->frames,
                                 .first = piece.first,
                                 .frames = piece.last - piece.first};
    const at::Tensor& weights = ranking_.network->pos_embed_roi;
    const model::RoiBatch batch = model::make_roi_batch(ranking_.network->options(), std::span(&frames, 1))
                                      .to(weights.device(), weights.scalar_type());
    const auto watch = [&](int64_t, int64_t) {
      if (call_.stop) {
        throw Error(message::kStopped, "Stopped while windows were scored.");
      }
    };
    return model::window_scores(clips::name_of(ranking_.options.ranker), ranking_.network, batch,
                                {.passes_at_once = ranking_.passes_at_once, .watch = watch});
  }

 private:
  const RankCall& call_;
  const clips::ClipStore& store_;
  const WindowRanking& ranking_;
  std::optional<clips::RoiMatrix> matrix_;
};

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
                      {"Ranker", clips::name_of(ranking.options.ranker)},
                      {"WindowFrames", ranking.options.window_frames},
                      {"ZScore", store.get("zscore")}};
  if (clips::needs_stage1(ranking.options.ranker)) {
    more["Stage1WeightsSHA256"] = ranking.stage1_sha256;
  }
  if (clips::has_scores(ranking.options.ranker)) {
    more["Atlas"] = {
        {"Name", ranking.labels.name}, {"SHA256", ranking.labels.sha256}, {"Regions", ranking.labels.rows()}};
  }
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

/// 1 for the window with the highest score; empty without scores.
std::vector<int64_t> ranks_of(const clips::RankedPiece& piece) {
  const std::vector<int64_t> order = clips::ranked_order(piece.scores);
  std::vector<int64_t> ranks(order.size());
  for (size_t place = 0; place < order.size(); ++place) {
    ranks[static_cast<size_t>(order[place])] = static_cast<int64_t>(place) + 1;
  }
  return ranks;
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

bids::BidsName windows_name(const bids::BoldRun& run, const std::string& model) {
  return grid_name(run).with("desc", model + "windows").with_suffix("timeseries").with_extension(".tsv");
}

std::string windows_table(const std::vector<clips::RankedPiece>& pieces, const clips::ClipStore& store) {
  const double tr = store.repetition_time_s(), start = std::stod(store.get("first_frame_s"));
  std::string text = "onset\tduration\tframe_start\tframe_stop\tscore\trank\tselected\tclip\n";
  for (size_t clip = 0; clip < pieces.size(); ++clip) {
    const clips::RankedPiece& piece = pieces[clip];
    const std::vector<int64_t> ranks = ranks_of(piece);
    for (size_t i = 0; i < piece.windows.size(); ++i) {
      const clips::Window& window = piece.windows[i];
      const bool selected =
          std::binary_search(piece.selected.begin(), piece.selected.end(), static_cast<int64_t>(i));
      text += number(start + static_cast<double>(window.first) * tr) + "\t" +
              number(static_cast<double>(window.last - window.first) * tr) + "\t" +
              std::to_string(window.first) + "\t" + std::to_string(window.last) + "\t" +
              (ranks.empty() ? "n/a\tn/a" : number(piece.scores[i]) + "\t" + std::to_string(ranks[i])) +
              "\t" + (selected ? "true\t" + std::to_string(clip) : "false\tn/a") + "\n";
    }
  }
  return text;
}

std::vector<clips::ClipFrames> clips_of_table(const fs::path& path) {
  const bids::Table table = bids::read_tsv(path);
  const auto fail = [&](const std::string& what) {
    throw Error(message::kBadTable, "The table of windows " + what + ".",
                {.file = path.string(), .remedy = "remove it, or run with --force"});
  };
  const auto frame = [&](size_t row, const char* column) {
    const std::string* cell = table.cell(row, column);
    const std::optional<double> value = cell == nullptr ? std::nullopt : bids::to_number(*cell);
    if (!value || *value < 0.0 || *value > 1e9 ||
        *value != static_cast<double>(static_cast<int64_t>(*value))) {
      fail("has no whole number under " + std::string(column) + " in row " + std::to_string(row + 1));
    }
    return static_cast<int64_t>(*value);
  };
  std::vector<clips::ClipFrames> clips;
  for (size_t row = 0; row < table.rows.size(); ++row) {
    const std::string* selected = table.cell(row, "selected");
    if (selected == nullptr || *selected != "true") {
      continue;
    }
    const auto clip = static_cast<size_t>(frame(row, "clip"));
    if (clip > clips.size() || clip + 1 < clips.size()) {
      fail("does not list its clips in order");
    }
    clips.resize(clip + 1);
    clips[clip].push_back({frame(row, "frame_start"), frame(row, "frame_stop")});
  }
  for (const clips::ClipFrames& clip : clips) {
    int64_t frames = 0;
    for (const clips::Window& window : clip) {
      frames += window.last > window.first ? window.last - window.first : kClipFrames + 1;
    }
    if (frames != kClipFrames) {
      fail("has a clip that is not 40 frames long");
    }
  }
  if (clips.empty()) {
    fail("selects no windows");
  }
  return clips;
}

std::vector<clips::ClipFrames> ranked_clips(const RankCall& call, const bids::BoldRun& run,
                                            const clips::ClipStore& store, const WindowRanking& ranking) {
  clips::RankOptions options = ranking.options;
  options.run_name = unit_name(grid_name(run));
  if (options.ranker == clips::Ranker::All || store.n_frames() < kClipFrames) {
    return clips::clips_of(clips::rank_pieces(store.n_frames(), {.ranker = clips::Ranker::All}));
  }
  const bids::BidsName store_name = clip_store_name(run), name = windows_name(run, ranking.model);
  const std::string fingerprint = bids::input_fingerprint(call.output.path_of(store_name));
  const std::string key = clips::ranking_key({.options = options,
                                              .stage1_sha256 = ranking.stage1_sha256,
                                              .atlas_sha256 = ranking.labels.sha256,
                                              .token_mask_sha256 = store.get("token_mask_sha256"),
                                              .zscore = store.get("zscore"),
                                              .store_hash = store.get("configuration_hash"),
                                              .store_fingerprint = fingerprint});
  if (!call.force && is_current(call.output, name, key)) {
    return clips_of_table(call.output.path_of(name));
  }
  RunScores scores(call, store, ranking);
  const std::vector<clips::RankedPiece> pieces =
      clips::rank_pieces(store.n_frames(), options, std::ref(scores));
  const nlohmann::json fingerprints{
      {"bids::" + bids::DerivativeDataset::relative_path(store_name), fingerprint}};
  const std::string text = windows_table(pieces, store);
  call.output.commit(name, sidecar_of(run, store, ranking, key, fingerprints),
                     [&](const fs::path& target) { write_text(target, text); });
  return clips::clips_of(pieces);
}

}  // namespace slim::pipelines
