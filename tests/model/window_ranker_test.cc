// SPDX-License-Identifier: Apache-2.0
// Window scores: what they are made of, and that a trained network finds what was planted.
#include "model/window_ranker.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <set>

#include "clips/ranking.h"
#include "roi_pieces.h"

namespace slim::model {
namespace {

using namespace testing;

TEST(PairMatrix, PassesAtOnceChangeNothingBeyondAMillionth) {
  const GlobalMae network = generated_network(global_mae_preset("tiny", 100));
  Matrix matrix = generated_matrix("m", 100, 80);
  matrix.valid[5] = 0;
  const RoiBatch piece = one(network, matrix.whole());
  const PairMatrix expected = pair_matrix(network, piece, {.passes_at_once = 1});
  for (const int64_t passes : {0, 3, 16, 100}) {
    const PairMatrix found = pair_matrix(network, piece, {.passes_at_once = passes});
    EXPECT_LE(relative_difference(as_tensor(found.errors), as_tensor(expected.errors)), 1e-6) << passes;
  }
}

TEST(PairMatrix, EqualInputsGiveEqualBytes) {
  const GlobalMae network = generated_network(global_mae_preset("tiny", 100));
  const RoiBatch piece = one(network, generated_matrix("m", 100, 60).whole());
  EXPECT_EQ(pair_matrix(network, piece).errors, pair_matrix(network, piece).errors);
  EXPECT_EQ(leave_one_out(network, piece), leave_one_out(network, piece));
}

TEST(PairMatrix, IsTheErrorOfWindowJWhenOnlyWindowIIsVisible) {
  const GlobalMae network = generated_network(global_mae_preset("tiny", 50));
  Matrix matrix = generated_matrix("m", 50, 32);  // the last two frames are no window
  matrix.valid[11] = 0;
  const RoiBatch piece = one(network, matrix.whole());
  const PairMatrix errors = pair_matrix(network, piece);
  ASSERT_EQ(errors.windows, 6);
  const at::NoGradGuard no_gradient;
  for (int64_t i = 0; i < 6; ++i) {
    at::Tensor masked = at::zeros({1, 2, 6}, at::kBool);
    masked.fill_(true);
    masked.select(2, i).fill_(false);
    const at::Tensor output = network->forward(piece, masked);
    for (int64_t j = 0; j < 6; ++j) {
      at::Tensor only_j = at::zeros({1, 2, 6}, at::kBool);
      only_j.select(2, j).fill_(true);
      const double expected = i == j ? 0.0 : masked_error(output, piece, only_j).loss().item<double>();
      EXPECT_NEAR(errors.at(i, j), expected, 1e-6) << i << " " << j;
    }
  }
}

TEST(MutualScores, AreTheMeansOfRowsAndColumnsWithoutTheDiagonal) {
  const PairMatrix errors{.windows = 3, .errors = {0, 2, 4, 1, 0, 3, 5, 7, 0}};
  EXPECT_EQ(mutual_source(errors), (std::vector<double>{-3, -2, -6}));
  EXPECT_EQ(mutual_target(errors), (std::vector<double>{3, 4.5, 3.5}));
  const std::vector<double> sum = mutual_sum(errors);
  EXPECT_NEAR(sum[0] + sum[1] + sum[2], 0.0, 1e-12);
  const double source_sd = std::sqrt((4.0 + 25.0 + 49.0) / 27.0),
               target_sd = std::sqrt((16.0 + 25.0 + 1.0) / 108.0);
  EXPECT_NEAR(sum[1], (5.0 / 3.0) / source_sd + (5.0 / 6.0) / target_sd, 1e-12);
  EXPECT_EQ(mutual_sum({.windows = 2, .errors = {0, 1, 1, 0}}), (std::vector<double>{0, 0})) << "no spread";
}

TEST(WindowScores, UnknownNamesAreRefusedAndTheWatcherMayStop) {
  const GlobalMae network = generated_network(global_mae_preset("tiny", 40));
  const RoiBatch piece = one(network, generated_matrix("m", 40, 40).whole());
  EXPECT_EQ(code_of([&] { window_scores("variance", network, piece); }), "SB1002");
  int64_t seen = 0;
  const ScoringOptions stop{.passes_at_once = 3, .watch = [&](int64_t done, int64_t total) {
                              EXPECT_EQ(total, 8);
                              seen = done;
                              throw Error(message::kStopped, "Stopped.");
                            }};
  EXPECT_EQ(code_of([&] { window_scores("mutual_source", network, piece, stop); }), "SB6001");
  EXPECT_EQ(seen, 3);
}

// ---- Planted windows ----

// Note [Planted windows]. Every run has a pattern of its own, one of four with a sign. Windows that carry it
// explain one another; the other windows have a pattern that occurs nowhere else. Both kinds have the same
// distribution of values in every ROI and frame, so that only a network that has learned the patterns can
// tell them apart.
constexpr int64_t kRois = 64;

double pattern(uint64_t number, int64_t roi) {
  return (Stream(number, "pattern").word(static_cast<uint64_t>(roi)) >> 63) == 0 ? 1.0 : -1.0;
}

struct PlantedRun {
  Matrix matrix;
  std::set<int64_t> shared, odd;
};

PlantedRun planted_run(int64_t windows, int64_t shared, uint64_t seed) {
  Stream stream(seed, "planted");
  std::vector<int64_t> order(static_cast<size_t>(windows));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    std::swap(order[i], order[i + static_cast<size_t>(stream.bounded(order.size() - i))]);
  }
  PlantedRun run;
  run.shared = {order.begin(), order.begin() + shared};
  run.odd = {order.begin() + shared, order.end()};
  const uint64_t number = stream.bounded(4);
  const double sign = stream.bounded(2) == 0 ? 1.0 : -1.0;
  const int64_t frames = 5 * windows;
  std::vector<double> rows(static_cast<size_t>(kRois * frames));
  for (int64_t j = 0; j < windows; ++j) {
    const uint64_t own = run.shared.contains(j) ? number : 1000 + stream.next() % 1000000000;
    for (int64_t roi = 0; roi < kRois; ++roi) {
      for (int64_t frame = 0; frame < 5; ++frame) {
        const double wave = std::sin(2.0 * std::numbers::pi * (static_cast<double>(frame) + 0.5) / 5.0);
        rows[static_cast<size_t>(roi * frames + 5 * j + frame)] =
            sign * pattern(own, roi) * wave + 0.2 * stream.normal();
      }
    }
  }
  run.matrix = standardised(rows, kRois, frames);
  return run;
}

/// Adam with warm-up and cosine decay, in as few lines as it takes.
class Adam {
 public:
  Adam(const GlobalMae& network, double rate, uint64_t steps)
      : parameters_(network->parameters()), rate_(rate), steps_(steps) {
    for (const at::Tensor& parameter : parameters_) {
      first_.push_back(at::zeros_like(parameter));
      second_.push_back(at::zeros_like(parameter));
    }
  }
  void step() {
    const at::NoGradGuard no_gradient;
    ++done_;
    const auto k = static_cast<double>(done_);
    const double share = k / static_cast<double>(steps_);
    const double rate = rate_ * std::min(1.0, k / 30.0) * 0.5 * (1.0 + std::cos(std::numbers::pi * share));
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor gradient = parameters_[i].grad();
      first_[i].mul_(0.9).add_(gradient, 0.1);
      second_[i].mul_(0.99).addcmul_(gradient, gradient, 0.01);
      const at::Tensor root = (second_[i] / (1.0 - std::pow(0.99, k))).sqrt_().add_(1e-8);
      parameters_[i].addcdiv_(first_[i], root, -rate / (1.0 - std::pow(0.9, k)));
      gradient.zero_();
    }
  }

 private:
  std::vector<at::Tensor> parameters_, first_, second_;
  double rate_;
  uint64_t steps_, done_ = 0;
};

constexpr uint64_t kSteps = 250, kPieces = 16;

/// Small matrices gain nothing from threads, and one thread gives the same weights on every machine of a
/// kind.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }

 private:
  int before_;
};

GlobalMae untrained() {
  GlobalMae network(global_mae_preset("tiny", kRois));
  init_global_mae(network, 1);
  return network;
}

/// Trained with the loss and the masks of pre-training, on runs that the tests never see.
const GlobalMae& trained() {
  static const GlobalMae network = [] {
    const OneThread threads;
    GlobalMae fresh = untrained();
    Adam adam(fresh, 2e-3, kSteps);
    for (uint64_t step = 0; step < kSteps; ++step) {
      std::vector<PlantedRun> runs;
      std::vector<RoiPiece> pieces;
      for (uint64_t i = 0; i < kPieces; ++i) {
        const int64_t windows = step % 2 == 0 ? 16 : 24;
        runs.push_back(planted_run(windows, windows - 8, 1'000'000 + step * kPieces + i));
      }
      for (const PlantedRun& run : runs) {
        pieces.push_back(run.matrix.whole());
      }
      const RoiBatch batch = make_roi_batch(fresh->options(), pieces);
      const at::Tensor masked = draw_token_masks(batch, 1, step, 0);
      masked_error(fresh->forward(batch, masked), batch, masked).loss().backward();
      adam.step();
    }
    return fresh;
  }();
  return network;
}

/// The 8 windows that a ranker selects.
std::set<int64_t> selected(const GlobalMae& network, const PlantedRun& run, clips::Ranker ranker) {
  const auto score = [&](const clips::Window& piece, const std::vector<clips::Window>&) {
    const RoiBatch batch = one(network, run.matrix.piece(piece.first, piece.last - piece.first));
    return window_scores(clips::name_of(ranker), network, batch);
  };
  const auto pieces = clips::rank_pieces(run.matrix.frames, {.ranker = ranker}, score);
  return {pieces.front().selected.begin(), pieces.front().selected.end()};
}

double mean_hits(const GlobalMae& network, clips::Ranker ranker) {
  double hits = 0.0;
  constexpr uint64_t kRuns = 12;
  const bool source = ranker == clips::Ranker::MutualSource;
  for (uint64_t seed = 0; seed < kRuns; ++seed) {
    const PlantedRun run = source ? planted_run(16, 8, seed) : planted_run(24, 16, seed);
    for (const int64_t window : selected(network, run, ranker)) {
      hits += (source ? run.shared : run.odd).contains(window) ? 1.0 : 0.0;
    }
  }
  return hits / static_cast<double>(kRuns);
}

TEST(PlantedWindows, MutualSourceFindsEightPrototypesAmongNoiseAndMutualTargetEightOddOnes) {
  EXPECT_EQ(mean_hits(trained(), clips::Ranker::MutualSource), 8.0);
  EXPECT_EQ(mean_hits(trained(), clips::Ranker::MutualTarget), 8.0);
}

TEST(PlantedWindows, AnUntrainedNetworkFindsThemNoBetterThanChance) {
  EXPECT_NEAR(mean_hits(untrained(), clips::Ranker::MutualSource), 8.0 * 8.0 / 16.0, 1.5);
  EXPECT_NEAR(mean_hits(untrained(), clips::Ranker::MutualTarget), 8.0 * 8.0 / 24.0, 1.5);
}

}  // namespace
}  // namespace slim::model
