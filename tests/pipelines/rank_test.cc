// SPDX-License-Identifier: Apache-2.0
#include "pipelines/rank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "core/json_file.h"
#include "pipelines/job.h"
#include "pipelines/windows_table.h"
#include "tests/support/clip_store.h"
#include "tests/support/code_of.h"
#include "tests/support/run_program.h"

namespace slim::pipelines {
namespace {

namespace fs = std::filesystem;
using clips::Ranker;
using test::code_of;

constexpr int64_t kFrames = 83;

bids::BoldRun a_run() {
  bids::BoldRun run;
  run.name = bids::BidsName::parse("sub-01_task-rest_bold.nii.gz").value();
  run.participant = "01";
  run.space = "MNI152NLin6Asym";
  return run;
}

/// A derivative dataset with the clip store of one run: noise, in which windows 3, 7 and 9 vary most.
class Ranking : public ::testing::Test {
 protected:
  Ranking() : output_(bids::DerivativeDataset::open(folder_ / "out", {.program_version = "0"})) {
    write_store("h");
  }

  void write_store(const std::string& hash) {
    const fs::path path = output_.path_of(clip_store_name(run_));
    create_folder(path.parent_path());
    Stream stream(1, "store");
    test::write_clip_store(path, packaged_token_set(), kFrames,
                           [&](int64_t frame, int64_t) {
                             const int64_t window = frame / 5;
                             const float scale = window == 3 || window == 7 || window == 9 ? 4.0f : 1.0f;
                             return scale * static_cast<float>((stream.next() >> 40) % 512) / 256.0f - scale;
                           },
                           {{"repetition_time_s", "0.75"},
                            {"first_frame_s", "3"},
                            {"zscore", "run"},
                            {"configuration_hash", hash}});
  }
  clips::ClipStore store() const { return clips::ClipStore::open(output_.path_of(clip_store_name(run_))); }
  static WindowRanking ranking(Ranker ranker, uint64_t weights_seed = 1) {
    WindowRanking made{.options = {.ranker = ranker}, .model = "m"};
    if (clips::needs_stage1(ranker)) {
      made.network = model::GlobalMae(model::global_mae_preset("tiny"));
      model::init_global_mae(made.network, weights_seed);
    }
    return complete_ranking(std::move(made));
  }
  std::vector<clips::ClipFrames> clips_by(const WindowRanking& ranking) const {
    return ranked_clips({.output = output_, .stop = stop_}, run_, store(), ranking);
  }
  fs::path table() const { return output_.path_of(windows_name(run_, "m")); }
  std::string key() const {
    return read_json(output_.sidecar_of(windows_name(run_, "m")))["Slimbrain"]["ConfigurationHash"];
  }

  test::TempFolder folder_;
  bids::DerivativeDataset output_;
  bids::BoldRun run_ = a_run();
  std::atomic<bool> stop_{false};
};

TEST_F(Ranking, TheTableSaysWhatWasChosenAndTheClipsComeBackFromIt) {
  const std::vector<clips::ClipFrames> chosen = clips_by(ranking(Ranker::MutualSource));
  ASSERT_EQ(chosen.size(), 1u);
  EXPECT_EQ(table().filename(),
            "sub-01_task-rest_space-MNI152NLin6Asym_res-slim_desc-mwindows_timeseries.tsv");
  EXPECT_EQ(clips_of_table(table()), chosen);
  const bids::Table written = bids::read_tsv(table());
  EXPECT_EQ(written.columns, (std::vector<std::string>{"onset", "duration", "frame_start", "frame_stop",
                                                       "score", "rank", "selected", "clip"}));
  ASSERT_EQ(written.rows.size(), 16u);
  EXPECT_EQ(*written.cell(2, "onset"), "10.5");  // 3 s + 10 frames
  EXPECT_EQ(*written.cell(2, "duration"), "3.75");
  EXPECT_EQ(*written.cell(2, "frame_stop"), "15");
  std::set<std::string> ranks;
  for (size_t row = 0; row < 16; ++row) {
    ranks.insert(*written.cell(row, "rank"));
    EXPECT_EQ(*written.cell(row, "selected") == "true",
              bids::to_number(*written.cell(row, "rank")).value() <= 8);
    EXPECT_EQ(*written.cell(row, "clip"), *written.cell(row, "selected") == "true" ? "0" : "n/a");
  }
  EXPECT_EQ(ranks.size(), 16u);
  const nlohmann::json sidecar = read_json(output_.sidecar_of(windows_name(run_, "m")));
  for (const std::string& column : written.columns) {
    EXPECT_TRUE(sidecar.contains(column)) << column;
  }
  EXPECT_EQ(sidecar["Slimbrain"]["Atlas"]["Regions"], 601);
}

TEST_F(Ranking, VarianceFindsTheWindowsThatVaryMost) {
  const clips::ClipFrames clip = clips_by(ranking(Ranker::Variance)).front();
  for (const int64_t window : {3, 7, 9}) {
    EXPECT_NE(std::find(clip.begin(), clip.end(), clips::Window{5 * window, 5 * window + 5}), clip.end())
        << window;
  }
}

TEST_F(Ranking, ACurrentTableIsReadAndAnotherWeightOrStoreMakesANewOne) {
  clips_by(ranking(Ranker::MutualSource));
  const std::string first = read_text(table()), first_key = key();
  const auto time = fs::last_write_time(table());
  clips_by(ranking(Ranker::MutualSource));
  EXPECT_EQ(fs::last_write_time(table()), time);
  clips_by(ranking(Ranker::MutualSource, 2));
  EXPECT_NE(read_text(table()), first);
  EXPECT_NE(key(), first_key);
  clips_by(ranking(Ranker::MutualSource));
  EXPECT_EQ(read_text(table()), first) << "equal inputs, equal bytes";
  write_store("another preparation");
  clips_by(ranking(Ranker::MutualSource));
  EXPECT_NE(key(), first_key);
}

TEST_F(Ranking, RankersWithoutScoresSayNotAvailableAndAllWritesNoTable) {
  EXPECT_EQ(clips_by(ranking(Ranker::All)).size(), 2u);
  EXPECT_FALSE(fs::exists(table()));
  const auto chosen = clips_by(ranking(Ranker::Uniform));
  EXPECT_EQ(clips_of_table(table()), chosen);
  EXPECT_EQ(chosen, clips::select_clips(kFrames, "uniform"));
  EXPECT_EQ(*bids::read_tsv(table()).cell(0, "score"), "n/a");
  EXPECT_EQ(*bids::read_tsv(table()).cell(0, "rank"), "n/a");
}

TEST_F(Ranking, AStopLeavesNoTable) {
  stop_ = true;
  EXPECT_EQ(code_of([&] { clips_by(ranking(Ranker::LeaveOneOut)); }), "SB6001");
  EXPECT_FALSE(fs::exists(table()));
}

TEST_F(Ranking, ATableChangedByHandIsRefusedWhereItMakesNoClip) {
  const std::string head = "frame_start\tframe_stop\tselected\tclip\n";
  const fs::path path = folder_ / "t.tsv";
  for (const std::string rows :
       {"", "0\t40\tfalse\tn/a\n", "0\t39\ttrue\t0\n", "40\t0\ttrue\t0\n", "0\t40\ttrue\t1\n",
        "0\t40\ttrue\tn/a\n", "x\t40\ttrue\t0\n", "-1\t39\ttrue\t0\n", "0\t1e300\ttrue\t0\n"}) {
    write_text(path, head + rows);
    EXPECT_EQ(code_of([&] { clips_of_table(path); }), "SB2003") << rows;
  }
}

TEST(CompleteRanking, RefusesAModelWithoutStageOneAndWeightsOfAnotherParcellation) {
  EXPECT_EQ(code_of([] { complete_ranking({.options = {.ranker = Ranker::MutualSource}, .model = "m"}); }),
            "SB4001");
  WindowRanking other{.options = {.ranker = Ranker::MutualSource}, .model = "m"};
  other.network = model::GlobalMae(model::global_mae_preset("tiny", 400));
  EXPECT_EQ(code_of([&] { complete_ranking(other); }), "SB4002");
  other.network = model::GlobalMae(model::global_mae_preset("tiny"));
  EXPECT_EQ(code_of([&] { complete_ranking(other); }), "none");
  other.atlas_sha256 = std::string(64, '0');
  EXPECT_EQ(code_of([&] { complete_ranking(other); }), "SB4002");
}

}  // namespace
}  // namespace slim::pipelines
