// SPDX-License-Identifier: Apache-2.0
// Whole fine-tunings on a token set so small that a step takes milliseconds: kept epochs, stops, refusals.
#include "train/finetune_trainer.h"

#include <ATen/ops/empty.h>

#include <limits>
#include <map>
#include <sstream>

#include "core/atomic_file.h"
#include "model/initialise.h"
#include "small_training.h"
#include "train/clip_reader.h"

namespace slim::train {
namespace {

using namespace testing;

class FinetuneTrainer : public ::testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }

  /// 6 participants of one run to learn from, 2 to validate on; classes take turns.
  static LabelledRuns labelled(const TrainingRuns& runs) {
    LabelledRuns out{.clips = runs, .case_of = {}, .truth = {}};
    for (size_t run = 0; run < runs.runs.size(); ++run) {
      out.clips.runs[run].selected = {{{0, 20}, {40, 60}}};
      out.case_of.push_back(run);
      out.truth.push_back(static_cast<double>(run % 2));
    }
    return out;
  }
  static FinetuneOptions options(int64_t classes = 2) {
    return {.finetuning = {.classes = classes,
                           .tokens = &small_set(),
                           .schedule = {.peak = 1e-3, .floor = 1e-6},
                           .head_schedule = {.peak = 1e-2, .floor = 1e-6},
                           .seed = 2},
            .clips_per_step = 4,
            .epochs = 6,
            .warmup_epochs = 1,
            .settings = {{"seed", "2"}}};
  }
  static model::HieraEncoder encoder() {
    model::HieraEncoder made(model::encoder_preset("tiny"));
    model::init_parameters(made, 3);
    return made;
  }
  /// Trains in a folder until `stop_at` steps were taken; nothing when it was stopped.
  std::optional<Finetuned> call(const FinetuneOptions& options, const fs::path& folder,
                                int64_t stop_at = -1) {
    std::atomic<bool> stop = false;
    const TrainerHooks hooks{.stop = stop,
                             .on_step = [&](const TrainingProgress& now) { stop = now.step == stop_at; }};
    try {
      return finetune(options, encoder(), training_, validation_, folder, hooks);
    } catch (const Error& error) {
      code_ = error.code();
      return std::nullopt;
    }
  }
  static const Cohort& cohort() {
    static const Cohort all;
    return all;
  }
  test::TempFolder folder_;
  LabelledRuns training_ = labelled(cohort().training), validation_ = labelled(cohort().validation);
  std::string code_;
};

/// Columns of the rows of history.tsv.
std::vector<std::map<std::string, std::string>> history(const fs::path& folder) {
  std::istringstream lines(read_text(folder / "history.tsv"));
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, '\t');) {
      rows.back().push_back(cell);
    }
  }
  std::vector<std::map<std::string, std::string>> named;
  for (size_t r = 1; r < rows.size(); ++r) {
    named.emplace_back();
    for (size_t c = 0; c < rows[r].size(); ++c) {
      named.back()[rows[0][c]] = rows[r][c];
    }
  }
  return named;
}

TEST_F(FinetuneTrainer, StoppedAnywhereItEndsWithTheWeightsOfTheUndisturbedOne) {
  const std::optional<Finetuned> straight = call(options(), folder_ / "straight");
  ASSERT_TRUE(straight);
  EXPECT_EQ(straight->steps, 12);
  for (const int64_t stop_at : {1, 5, 6, 11}) {
    const fs::path folder = folder_ / ("stopped" + std::to_string(stop_at));
    EXPECT_FALSE(call(options(), folder, stop_at));
    EXPECT_EQ(code_, "SB6001");
    const std::optional<Finetuned> resumed = call(options(), folder);
    ASSERT_TRUE(resumed) << code_;
    expect_equal(resumed->weights, straight->weights);
    EXPECT_EQ(resumed->best_epoch, straight->best_epoch);
    EXPECT_EQ(resumed->score, straight->score);
    EXPECT_EQ(history(folder).size(), 6u);
  }
  // Over already: nothing is trained, the same is given.
  const std::optional<Finetuned> again = call(options(), folder_ / "straight");
  ASSERT_TRUE(again);
  expect_equal(again->weights, straight->weights);
}

TEST_F(FinetuneTrainer, TheBestEpochIsKeptAndItsWeightsHaveItsScore) {
  for (const int64_t classes : {2, 0}) {
    const fs::path folder = folder_ / std::to_string(classes);
    const std::optional<Finetuned> done = call(options(classes), folder);
    ASSERT_TRUE(done) << code_;
    // The rule anew, from the table of epochs.
    int64_t best = 0;
    double best_score = 0, best_loss = 0;
    for (const auto& row : history(folder)) {
      const double loss = std::stod(row.at("val_loss")),
                   score = std::stod(row.at(classes > 0 ? "val_balanced_accuracy" : "val_mse"));
      const bool better =
          classes > 0 ? score > best_score || (score == best_score && loss < best_loss) : score < best_score;
      if (best == 0 || better) {
        best = std::stol(row.at("epoch"));
        best_score = score;
        best_loss = loss;
      }
    }
    EXPECT_EQ(done->best_epoch, best);
    ASSERT_TRUE(done->score);
    EXPECT_NEAR(*done->score, best_score, 1e-6);
    // A network with these weights says the same of the validation clips.
    Finetuning tuned(options(classes).finetuning, encoder());
    for (const auto& [key, tensor] : tuned.state()) {
      if (key.starts_with("online.")) {
        tensor.copy_(done->weights.at(key.substr(7)));
      }
    }
    tuned.resume(0);
    const auto reader = read_stores(validation_.clips.stores, small_set());
    double loss = 0;
    for (int64_t run = 0; run < 2; ++run) {
      at::Tensor clip = at::empty({1, 40, small_set().size(), kTokenVoxels}, at::kHalf);
      reader->read(run, {{0, 20}, {40, 60}},
                   {reinterpret_cast<uint16_t*>(clip.data_ptr()), static_cast<size_t>(clip.numel())});
      const double truth = validation_.truth[static_cast<size_t>(run)];
      loss +=
          head_losses(tuned.predict(clip), std::span(&truth, 1), options(classes).finetuning).item<double>() /
          2;
    }
    EXPECT_NEAR(loss, best_loss, 1e-5);
  }
}

TEST_F(FinetuneTrainer, WithoutAnybodyToValidateOnTheLastEpochIsKept) {
  validation_ = {};
  const std::optional<Finetuned> done = call(options(), folder_ / "a");
  ASSERT_TRUE(done) << code_;
  EXPECT_EQ(done->best_epoch, 6);
  EXPECT_FALSE(done->score);
}

TEST_F(FinetuneTrainer, SeveralRunsOfOneParticipantAreOneCase) {
  // Both validation runs belong to one case: its outputs are averaged, so the accuracy is 0 or 1, never 0.5.
  validation_.case_of = {0, 0};
  validation_.truth = {1};
  ASSERT_TRUE(call(options(), folder_ / "a")) << code_;
  for (const auto& row : history(folder_ / "a")) {
    const double accuracy = std::stod(row.at("val_balanced_accuracy"));
    EXPECT_TRUE(accuracy == 0 || accuracy == 1) << accuracy;
  }
}

TEST_F(FinetuneTrainer, OtherSettingsAndLossesThatAreNoNumbersAreRefused) {
  EXPECT_FALSE(call(options(), folder_ / "a", 3));
  FinetuneOptions other = options();
  other.settings["seed"] = "3";
  EXPECT_FALSE(call(other, folder_ / "a"));
  EXPECT_EQ(code_, "SB1008");
  FinetuneOptions none = options();
  none.epochs = 0;
  EXPECT_FALSE(call(none, folder_ / "b"));
  EXPECT_EQ(code_, "SB1002");
  const Cohort broken(std::numeric_limits<float>::infinity());
  training_ = labelled(broken.training);
  EXPECT_FALSE(call(options(), folder_ / "c"));
  EXPECT_EQ(code_, "SB4005");
}

}  // namespace
}  // namespace slim::train
