// SPDX-License-Identifier: Apache-2.0
// Trainings of stage 2 that are interrupted and continued, with the same settings and with others.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/atomic_file.h"
#include "small_training.h"
#include "train/checkpoint_folder.h"

namespace slim::train {
namespace {

using namespace testing;

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line);
  for (std::string cell; std::getline(stream, cell, '\t');) {
    cells.push_back(cell);
  }
  return cells;
}

/// Lines of metrics.jsonl and history.tsv without what is a measurement of time.
std::vector<std::string> logged(const fs::path& folder) {
  const std::vector<std::string> timed{"wall_s", "samples_per_s", "wait_share"};
  std::vector<std::string> lines;
  std::istringstream metrics(read_text(folder / "metrics.jsonl")), history(read_text(folder / "history.tsv"));
  for (std::string line; std::getline(metrics, line);) {
    nlohmann::json values = nlohmann::json::parse(line);
    for (const std::string& name : timed) {
      EXPECT_EQ(values.erase(name), 1u) << line;
    }
    lines.push_back(values.dump());
  }
  std::string line;
  std::getline(history, line);
  const std::vector<std::string> names = cells_of(line);
  while (std::getline(history, line)) {
    const std::vector<std::string> cells = cells_of(line);
    EXPECT_EQ(cells.size(), names.size()) << line;
    lines.emplace_back();
    for (size_t i = 0; i < cells.size(); ++i) {
      lines.back() +=
          std::count(timed.begin(), timed.end(), names[i]) > 0 ? "" : names[i] + "=" + cells[i] + " ";
    }
  }
  return lines;
}

/// What TensorBoard reads, without measurements of time; empty without a judge.
std::vector<std::string> read_back(const fs::path& folder) {
  std::vector<std::string> lines;
  if (const auto python = test::judges_python()) {
    const test::ProgramResult result =
        test::run_program(*python, {SLIM_SOURCE_DIR "/tests/train/judge_tensorboard.py", folder.string()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::istringstream text(result.out);
    for (std::string line; std::getline(text, line);) {
      if (!line.starts_with("samples_per_s") && !line.starts_with("wait_share")) {
        lines.push_back(line);
      }
    }
  }
  return lines;
}

std::string last_state(const fs::path& folder) {
  return read_text(*CheckpointFolder(folder / "checkpoints").latest() / "state.safetensors");
}

TEST_F(Trainer, InterruptedTwentyTimesAtRandomStepsEndsInTheSameWeightsAndLogs) {
  TrainerOptions options = tiny();
  options.epochs = 14;  // 42 steps
  const Call calm(options, cohort(), folder_ / "calm");
  ASSERT_EQ(calm.code(), "") << calm.error->what();
  EXPECT_EQ(calm.trained->steps, 42);

  Stream random(20260102, "stops");
  int64_t step = 0;
  for (int64_t stops = 0; stops < 20; ++stops) {
    step = std::min(step + 1 + static_cast<int64_t>(random.bounded(3)),
                    22 + stops);  // leaves steps for the rest
    const Call stopped(options, cohort(), folder_ / "broken", step);
    ASSERT_EQ(stopped.code(), "SB6001") << step;
    EXPECT_NE(stopped.error->sentence().find("after step " + std::to_string(step)), std::string::npos);
  }
  const Call last(options, cohort(), folder_ / "broken");
  ASSERT_EQ(last.code(), "") << last.error->what();
  EXPECT_EQ(last.steps, 42 - step) << "no step was taken twice";
  EXPECT_EQ(last.trained->steps, 42);
  EXPECT_EQ(last.trained->samples, calm.trained->samples);
  EXPECT_EQ(last.trained->verdict, calm.trained->verdict);
  expect_equal(last.trained->weights, calm.trained->weights);
  EXPECT_TRUE(last_state(folder_ / "broken") == last_state(folder_ / "calm"))
      << "moments of the optimiser too";
  EXPECT_EQ(logged(folder_ / "broken"), logged(folder_ / "calm"));

  const std::vector<std::string> seen = read_back(folder_ / "broken");
  EXPECT_EQ(seen, read_back(folder_ / "calm"));
  const auto count = [&](const std::string& tag) {
    return std::count_if(seen.begin(), seen.end(),
                         [&](const std::string& line) { return line.starts_with(tag); });
  };
  if (!seen.empty()) {
    EXPECT_EQ(count("loss "), 42);
    EXPECT_EQ(count("loss_double_cross "), 42);
    EXPECT_EQ(count("val_loss "), 14);
  }
}

TEST_F(Trainer, ReconstructionAndBfloat16GoOnBitForBitToo) {
  for (const auto& [objective, type] :
       {std::pair{Objective::Mae, at::kFloat}, std::pair{Objective::Jepa, at::kBFloat16}}) {
    const test::TempFolder folder;
    const Call calm(tiny(objective), cohort(), folder / "calm", -1, type);
    ASSERT_EQ(calm.code(), "") << calm.error->what();
    for (const int64_t step : {1, 2, 3, 7, 11}) {
      ASSERT_EQ(Call(tiny(objective), cohort(), folder / "broken", step, type).code(), "SB6001");
    }
    const Call last(tiny(objective), cohort(), folder / "broken", -1, type);
    ASSERT_EQ(last.code(), "") << last.error->what();
    expect_equal(last.trained->weights, calm.trained->weights);
    EXPECT_TRUE(last_state(folder / "broken") == last_state(folder / "calm"));
    EXPECT_EQ(logged(folder / "broken"), logged(folder / "calm"));
  }
}

TEST_F(Trainer, AStopAtTheVeryLastStepStopsNothingAndAFinishedTrainingIsGivenAgain) {
  const Call last(tiny(), cohort(), folder_.path(), 12);
  ASSERT_EQ(last.code(), "") << last.error->what();
  const Call again(tiny(), cohort(), folder_.path());
  ASSERT_EQ(again.code(), "");
  EXPECT_EQ(again.steps, 0);
  EXPECT_EQ(again.trained->steps, 12);
  expect_equal(again.trained->weights, last.trained->weights);
}

TEST_F(Trainer, WhatOnlyCostsTimeOrMemoryChangesNoBit) {
  const Call calm(tiny(), cohort(), folder_ / "calm");
  ASSERT_EQ(calm.code(), "") << calm.error->what();
  TrainerOptions other = tiny();
  other.pretraining.jepa.recompute = true;
  other.reader_threads = 5;
  other.log_every = 3;
  other.keep_checkpoints = 1;
  ASSERT_EQ(Call(other, cohort(), folder_ / "other", 5).code(), "SB6001");
  const Call last(other, cohort(), folder_ / "other");
  ASSERT_EQ(last.code(), "") << last.error->what();
  expect_equal(last.trained->weights, calm.trained->weights);
  // The number of threads is another matter: sums are grouped by it. It is told, and no more than rounding.
  ASSERT_EQ(Call(tiny(), cohort(), folder_ / "threads", 5).code(), "SB6001");
  at::set_num_threads(2);
  const Call more(tiny(), cohort(), folder_ / "threads");
  ASSERT_EQ(more.code(), "") << more.error->what();
  EXPECT_EQ(
      std::count_if(more.said.begin(), more.said.end(),
                    [](const std::string& said) { return said.starts_with("on 2 threads instead of 1"); }),
      1);
  for (const auto& [key, tensor] : calm.trained->weights) {
    EXPECT_LT((more.trained->weights.at(key) - tensor).abs().max().item<double>(), 1e-3) << key;
  }
}

TEST_F(Trainer, AChangedSettingIsNamedWithBothValuesAndNothingIsTouched) {
  ASSERT_EQ(Call(tiny(), cohort(), folder_.path(), 2).code(), "SB6001");
  const auto before = test::tree_hashes(folder_.path(), {});
  TrainerOptions other = tiny();
  other.settings["seed"] = "5";
  const Call refused(other, cohort(), folder_.path());
  ASSERT_EQ(refused.code(), "SB1008");
  EXPECT_NE(refused.error->sentence().find("seed 4, this call has 5"), std::string::npos)
      << refused.error->what();
  EXPECT_NE(refused.error->details().remedy.find("--force"), std::string::npos);
  other.settings = {{"seed", "4"}};
  EXPECT_NE(Call(other, cohort(), folder_.path()).error->sentence().find("epochs 4, this call has none"),
            std::string::npos);
  EXPECT_EQ(test::tree_hashes(folder_.path(), {}), before);
}

}  // namespace
}  // namespace slim::train
