// SPDX-License-Identifier: Apache-2.0
#include "train/stage1_trainer.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <sstream>

#include "core/atomic_file.h"
#include "roi_pieces.h"
#include "tests/support/run_program.h"

namespace slim::train {
namespace {

namespace fs = std::filesystem;
using model::testing::code_of;

constexpr int64_t kRois = 40;

/// Regions that follow one slow course, each with its own sign in all runs and all with that of the run.
clips::RoiMatrix planted(uint64_t seed, int64_t frames) {
  Stream stream(seed, "run");
  const double side = stream.bounded(2) == 0 ? 1.0 : -1.0;
  std::vector<double> rows;
  for (int64_t roi = 0; roi < kRois; ++roi) {
    for (int64_t t = 0; t < frames; ++t) {
      const double sign = roi % 2 == 0 ? 1.0 : -1.0;
      rows.push_back(sign * side * std::sin(0.25 * static_cast<double>(t)) + 0.1 * stream.normal());
    }
  }
  const model::testing::Matrix made = model::testing::standardised(rows, kRois, frames);
  return {.rows = kRois, .frames = frames, .values = made.values, .valid = made.valid};
}

struct Runs {
  std::vector<clips::RoiMatrix> matrices;
  Stage1Runs runs{};
  explicit Runs(const std::vector<int64_t>& frames, uint64_t seed) {
    for (const int64_t count : frames) {
      matrices.push_back(planted(seed++, count));
    }
    runs = {.n_frames = frames,
            .matrix = [this](size_t i) -> const clips::RoiMatrix& { return matrices.at(i); }};
  }
};

class Stage1TrainerTest : public ::testing::Test {
 protected:
  // As the tiny network is trained: threads would wait for one another longer than they compute.
  Stage1TrainerTest() { at::set_num_threads(1); }
  static Stage1TrainerOptions options(int64_t epochs) {
    return {.stage1 = {.network = model::global_mae_preset("tiny", kRois),
                       .schedule = {.peak = 2e-3, .floor = 1e-5},
                       .seed = 3},
            .epochs = epochs,
            .warmup_epochs = 1,
            .pieces_per_step = 3,
            .pieces_at_once = 2,
            .settings = {{"seed", "3"}}};
  }
  Stage1Trained train(const Stage1TrainerOptions& options, const std::string& folder, int64_t stop_at = -1) {
    std::atomic<bool> stop{false};
    const TrainerHooks hooks{.stop = stop, .on_step = [&](const TrainingProgress& now) {
                               steps_ = now.step;
                               stop = now.step == stop_at;
                             }};
    return train_stage1(options, training_->runs, validation_->runs, folder_ / folder, hooks);
  }
  std::vector<std::string> history(const std::string& folder) const {
    std::vector<std::string> lines;
    std::istringstream text(read_text(folder_ / folder / "history.tsv"));
    for (std::string line; std::getline(text, line);) {
      lines.push_back(line);
    }
    return lines;
  }

  test::TempFolder folder_;
  std::unique_ptr<Runs> training_ = std::make_unique<Runs>(std::vector<int64_t>{60, 250, 45, 430, 60}, 10);
  std::unique_ptr<Runs> validation_ = std::make_unique<Runs>(std::vector<int64_t>{60, 75}, 90);
  int64_t steps_ = 0;
};

bool equal(const Parameters& a, const Parameters& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.equal(y.second);
  });
}

/// A history without times and rates of work.
std::vector<std::string> without_times(const std::vector<std::string>& lines) {
  std::vector<std::string> kept;
  for (const std::string& line : lines) {
    std::string out, cell;
    std::istringstream cells(line);
    for (int column = 0; std::getline(cells, cell, '\t'); ++column) {
      out += column == 3 || column == 8 ? "" : cell + "\t";
    }
    kept.push_back(out);
  }
  return kept;
}

TEST_F(Stage1TrainerTest, LearnsAPlantedStructureOfUnseenRuns) {
  training_ = std::make_unique<Runs>(std::vector<int64_t>(12, 60), 20);
  const Stage1Trained trained = train(options(75), "a");
  EXPECT_EQ(trained.steps, 300);
  ASSERT_TRUE(trained.validation_skill.has_value());
  EXPECT_GT(*trained.validation_skill, 0.2);
  EXPECT_FALSE(trained.network->is_training());
  EXPECT_EQ(trained.weights.size(), model::global_mae_tensors(trained.network->options()).size());
  const std::vector<std::string> lines = history("a");
  ASSERT_EQ(lines.size(), 76u);
  EXPECT_EQ(lines[0],
            "step\tepoch\tsamples\twall_s\tlr\tloss\tskill\tgrad_norm\tsamples_per_s\tval_loss\tval_skill");
  EXPECT_TRUE(lines[75].starts_with("300\t75\t900\t"));
}

TEST_F(Stage1TrainerTest, WhereverItIsStoppedItEndsWithTheWeightsOfAnUndisturbedTraining) {
  const Stage1Trained straight = train(options(4), "straight");
  ASSERT_EQ(straight.steps, 8);
  for (const int64_t stop : {1, 4, 7}) {
    const std::string name = "stop" + std::to_string(stop);
    EXPECT_EQ(code_of([&] { train(options(4), name, stop); }), "SB6001");
    EXPECT_EQ(steps_, stop);
    const Stage1Trained resumed = train(options(4), name);
    EXPECT_TRUE(equal(straight.weights, resumed.weights)) << name;
    EXPECT_EQ(straight.validation_skill, resumed.validation_skill);
    EXPECT_EQ(without_times(history("straight")), without_times(history(name)));
  }
  // Stopped after each step.
  for (int64_t stop = 1; stop < 8; ++stop) {
    EXPECT_EQ(code_of([&] { train(options(4), "often", stop); }), "SB6001");
  }
  EXPECT_TRUE(equal(straight.weights, train(options(4), "often").weights));
}

TEST_F(Stage1TrainerTest, ATrainingThatIsOverIsReadBackWithoutItsRuns) {
  const Stage1Trained first = train(options(2), "a", 4);  // a stop at the last step stops nothing
  steps_ = 0;
  training_->matrices.clear();
  validation_->matrices.clear();
  const Stage1Trained again = train(options(2), "a");
  EXPECT_EQ(steps_, 0);
  EXPECT_EQ(again.steps, 4);
  EXPECT_TRUE(equal(first.weights, again.weights));
  EXPECT_EQ(first.validation_skill, again.validation_skill);
}

TEST_F(Stage1TrainerTest, OtherSettingsAndEmptyRunsAreRefused) {
  EXPECT_EQ(code_of([&] { train(options(4), "a", 1); }), "SB6001");
  Stage1TrainerOptions other = options(4);
  other.settings["seed"] = "4";
  EXPECT_EQ(code_of([&] { train(other, "a"); }), "SB1008");
  EXPECT_EQ(code_of([&] { train(options(0), "b"); }), "SB1002");
  training_->runs.n_frames = {30, 39};
  EXPECT_EQ(code_of([&] { train(options(1), "c"); }), "SB3002");
}

TEST_F(Stage1TrainerTest, ValuesThatAreNotFiniteEndTheTraining) {
  for (float& value : training_->matrices[1].values) {
    value = NAN;
  }
  EXPECT_EQ(code_of([&] { train(options(2), "a"); }), "SB4005");
}

TEST_F(Stage1TrainerTest, WithoutRunsToValidateOnThereIsNoSkill) {
  validation_->runs.n_frames.clear();
  const Stage1Trained trained = train(options(1), "a");
  EXPECT_FALSE(trained.validation_skill.has_value());
  EXPECT_TRUE(history("a")[1].ends_with("n/a\tn/a"));
}

}  // namespace
}  // namespace slim::train
