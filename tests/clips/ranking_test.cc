// SPDX-License-Identifier: Apache-2.0
#include "clips/ranking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "core/error.h"

namespace slim::clips {
namespace {

constexpr Ranker kAll[] = {Ranker::MutualSource, Ranker::MutualTarget, Ranker::MutualSum,
                           Ranker::LeaveOneOut,  Ranker::Variance,     Ranker::Uniform,
                           Ranker::Random,       Ranker::First,        Ranker::All};

/// Scores without order in time, different in every window of every piece.
std::vector<double> shuffled_scores(const Window& piece, const std::vector<Window>& windows) {
  std::vector<double> scores;
  for (const Window& window : windows) {
    scores.push_back(static_cast<double>((window.first * 7919 + piece.first) % 997));
  }
  return scores;
}

std::vector<RankedPiece> ranked(int64_t frames, Ranker ranker, int64_t window_frames = 5) {
  return rank_pieces(frames,
                     {.ranker = ranker, .window_frames = window_frames, .run_name = "sub-01_task-rest"},
                     shuffled_scores);
}

template <class Work>
std::string code_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return {};
}

TEST(Ranker, NamesGoBothWaysAndOthersAreRefusedWithTheNearest) {
  for (const Ranker ranker : kAll) {
    EXPECT_EQ(ranker_from(name_of(ranker)), ranker);
  }
  try {
    ranker_from("mutual_sauce");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB1002");
    EXPECT_NE(error.sentence().find("nearest is mutual_source"), std::string::npos) << error.what();
  }
}

TEST(RankPieces, RunsGiveOneClipAPieceWithEveryRankerThatHasWindows) {
  const std::pair<int64_t, size_t> cases[] = {{39, 0},  {40, 1},  {43, 1},  {400, 1},
                                              {401, 2}, {599, 2}, {1200, 6}};
  for (const auto& [frames, expected] : cases) {
    for (const Ranker ranker : kAll) {
      for (const int64_t length : {5, 8}) {
        if (ranker != Ranker::All) {
          EXPECT_EQ(clips_of(ranked(frames, ranker, length)).size(), expected)
              << frames << " " << name_of(ranker);
        }
      }
    }
  }
  EXPECT_EQ(ranked(1200, Ranker::All).size(), 30u);
}

TEST(RankPieces, ClipsAreFortyFramesInTimeOrderInsideTheirPiece) {
  for (const int64_t frames : {40, 43, 131, 400, 401, 599, 1200}) {
    for (const Ranker ranker : kAll) {
      for (const RankedPiece& piece : ranked(frames, ranker)) {
        int64_t total = 0, previous = piece.frames.first;
        for (const Window& window : piece.clip()) {
          EXPECT_GE(window.first, previous);
          EXPECT_LE(window.last, piece.frames.last);
          total += window.last - window.first;
          previous = window.last;
        }
        EXPECT_EQ(total, 40) << frames << " " << name_of(ranker);
      }
    }
  }
}

TEST(RankPieces, AsManyWindowsAsTheClipNeedsSelectsAll) {
  for (const Ranker ranker : kAll) {
    if (ranker != Ranker::All) {
      EXPECT_EQ(ranked(43, ranker).front().selected, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7}))
          << name_of(ranker);
      EXPECT_EQ(ranked(40, ranker, 8).front().selected, (std::vector<int64_t>{0, 1, 2, 3, 4}))
          << name_of(ranker);
    }
  }
}

TEST(RankPieces, TheHighestScoresAreSelected) {
  const RankedPiece piece = ranked(300, Ranker::MutualSource).front();
  std::set<double> chosen, others;
  for (size_t i = 0; i < piece.scores.size(); ++i) {
    const bool selected = std::find(piece.selected.begin(), piece.selected.end(), static_cast<int64_t>(i)) !=
                          piece.selected.end();
    (selected ? chosen : others).insert(piece.scores[i]);
  }
  EXPECT_GT(*chosen.begin(), *others.rbegin());
}

TEST(RankPieces, FirstTakesTheStartOfEachPiece) {
  const std::vector<RankedPiece> pieces = ranked(401, Ranker::First);
  EXPECT_EQ(describe(pieces[0].clip()), "0-4,5-9,10-14,15-19,20-24,25-29,30-34,35-39");
  EXPECT_EQ(pieces[1].clip().front().first, 200);
}

TEST(RankPieces, RandomDependsOnSeedRunAndPieceAlone) {
  const auto draw = [](uint64_t seed, const std::string& run) {
    return rank_pieces(600, {.ranker = Ranker::Random, .seed = seed, .run_name = run});
  };
  const std::vector<RankedPiece> once = draw(1, "a");
  EXPECT_EQ(clips_of(once), clips_of(draw(1, "a")));
  EXPECT_NE(once[0].selected, draw(2, "a")[0].selected);
  EXPECT_NE(once[0].selected, draw(1, "b")[0].selected);
  EXPECT_NE(once[0].selected, once[1].selected);
}

TEST(RankPieces, RandomDrawsEveryWindowEquallyOften) {
  std::map<int64_t, int> count;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const auto pieces = rank_pieces(80, {.ranker = Ranker::Random, .seed = seed, .run_name = "x"});
    for (const int64_t window : pieces.front().selected) {
      ++count[window];
    }
  }
  for (int64_t window = 0; window < 16; ++window) {
    EXPECT_NEAR(count[window], 1000, 120) << window;  // more than 5 SD
  }
}

TEST(RankPieces, RefusesScoresThatAreNotFiniteAndWindowsThatMakeNoClip) {
  const auto broken = [](const Window&, const std::vector<Window>& windows) {
    return std::vector<double>(windows.size(), std::numeric_limits<double>::quiet_NaN());
  };
  EXPECT_EQ(code_of([&] { rank_pieces(100, {.ranker = Ranker::MutualSource}, broken); }), "SB4002");
  const auto few = [](const Window&, const std::vector<Window>&) { return std::vector<double>(3, 1.0); };
  EXPECT_EQ(code_of([&] { rank_pieces(100, {.ranker = Ranker::MutualSource}, few); }), "SB9001");
  for (const int64_t length : {-5, 0, 3, 6, 41}) {
    EXPECT_EQ(code_of([&] { rank_pieces(100, {.ranker = Ranker::First, .window_frames = length}); }),
              "SB1002")
        << length;
  }
}

TEST(RankedOrder, TiesGoToTheEarlierWindowAfterSixDigits) {
  EXPECT_EQ(ranked_order(std::vector<double>{1.0, 3.0, 3.0, -2.0}), (std::vector<int64_t>{1, 2, 0, 3}));
  EXPECT_EQ(ranked_order(std::vector<double>{0.123456, 0.1234561, 0.12345649}),
            (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(ranked_order(std::vector<double>{0.123456, 0.123457}), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(ranked_order(std::vector<double>{-1.1234561e-9, -1.1234559e-9, 0.0}),
            (std::vector<int64_t>{2, 0, 1}));
  EXPECT_EQ(ranked_order(std::vector<double>{123456.4e10, 123456.2e10}), (std::vector<int64_t>{0, 1}));
}

TEST(TrainingPiece, IsTwoHundredFramesAnywhereOrTheWholeShorterRun) {
  Stream stream(1, "test");
  EXPECT_EQ(training_piece(199, stream), (Window{0, 199}));
  EXPECT_EQ(training_piece(200, stream), (Window{0, 200}));
  std::set<int64_t> starts;
  for (int i = 0; i < 400; ++i) {
    const Window piece = training_piece(210, stream);
    EXPECT_EQ(piece.last - piece.first, 200);
    starts.insert(piece.first);
  }
  EXPECT_EQ(starts.size(), 11u);
  EXPECT_EQ(*starts.begin(), 0);
  EXPECT_EQ(*starts.rbegin(), 10);
}

TEST(RankingKey, ChangesWithWhatTheRankerUsesAndNothingElse) {
  const RankingInputs inputs{.options = {.ranker = Ranker::MutualSource, .run_name = "sub-01"},
                             .stage1_sha256 = "s",
                             .atlas_sha256 = "a",
                             .token_mask_sha256 = "t",
                             .zscore = "run",
                             .store_hash = "c",
                             .store_fingerprint = "f"};
  const auto changed = [&](auto&& change, Ranker ranker) {
    RankingInputs before = inputs;
    before.options.ranker = ranker;
    RankingInputs after = before;
    change(after);
    return ranking_key(before) != ranking_key(after);
  };
  EXPECT_EQ(ranking_key(inputs), ranking_key(inputs));
  EXPECT_EQ(ranking_key(inputs).size(), 64u);
  for (const Ranker ranker : {Ranker::MutualSource, Ranker::Variance, Ranker::Random}) {
    EXPECT_TRUE(changed([](RankingInputs& i) { i.token_mask_sha256 = "x"; }, ranker));
    EXPECT_TRUE(changed([](RankingInputs& i) { i.zscore = "voxel"; }, ranker));
    EXPECT_TRUE(changed([](RankingInputs& i) { i.store_hash = "x"; }, ranker));
    EXPECT_TRUE(changed([](RankingInputs& i) { i.store_fingerprint = "x"; }, ranker));
    EXPECT_TRUE(changed([](RankingInputs& i) { i.options.window_frames = 8; }, ranker));
    EXPECT_TRUE(changed([](RankingInputs& i) { i.options.ranker = Ranker::MutualTarget; }, ranker));
    EXPECT_EQ(changed([](RankingInputs& i) { i.stage1_sha256 = "x"; }, ranker),
              ranker == Ranker::MutualSource);
    EXPECT_EQ(changed([](RankingInputs& i) { i.atlas_sha256 = "x"; }, ranker), ranker != Ranker::Random);
    EXPECT_EQ(changed([](RankingInputs& i) { i.options.seed = 2; }, ranker), ranker == Ranker::Random);
  }
}

}  // namespace
}  // namespace slim::clips
