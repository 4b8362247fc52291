// SPDX-License-Identifier: Apache-2.0
#include "train/training_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/atomic_file.h"
#include "core/error.h"
#include "tests/support/run_program.h"

namespace slim::train {
namespace {

namespace fs = std::filesystem;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class Work>
std::string code_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return {};
}

uint32_t crc_of(std::string_view text) { return crc32c(std::as_bytes(std::span(text.data(), text.size()))); }

/// What TensorBoard reads in a folder, or nullopt without a judge.
std::optional<std::string> judged(const fs::path& folder) {
  const auto python = test::judges_python();
  if (!python) {
    return std::nullopt;
  }
  const test::ProgramResult result =
      test::run_program(*python, {SLIM_SOURCE_DIR "/tests/train/judge_tensorboard.py", folder.string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.out;
}

void append(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::app) << bytes;
}

TEST(EventFile, TheChecksumIsCastagnolisAsPublished) {
  EXPECT_EQ(crc_of("123456789"), 0xe3069283u);
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(crc_of(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc_of(""), 0u);
}

TEST(EventFile, TensorBoardReadsBackEveryScalar) {
  const test::TempFolder folder;
  {
    EventFile file(folder / "events.out.tfevents.test", -1);
    for (const int64_t step : {int64_t{1}, int64_t{127}, int64_t{128}, int64_t{3000000000}}) {
      const std::vector<Scalar> scalars{{"loss", 0.5 / static_cast<double>(step)}, {"val_loss", -1e30}};
      file.add(step, 1.7e9 + static_cast<double>(step), scalars);
    }
    const std::vector<Scalar> many(40, {std::string(50, 'x'), 0.25});  // lengths beyond one byte
    file.add(3000000001, 1.8e9, many);
    file.sync();
  }
  const auto out = judged(folder.path());
  if (!out) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  std::istringstream lines(*out);
  std::map<std::string, std::vector<std::pair<int64_t, float>>> seen;
  for (std::string tag, step, value; lines >> tag >> step;) {
    if (tag == "file_version") {
      EXPECT_EQ(step, "2.0");
      break;
    }
    lines >> value;
    seen[tag].emplace_back(std::stoll(step), std::stof(value));
  }
  ASSERT_EQ(seen["loss"].size(), 4u);
  for (const auto& [step, value] : seen["loss"]) {
    EXPECT_EQ(value, static_cast<float>(0.5 / static_cast<double>(step)));
  }
  EXPECT_EQ(seen["loss"][3].first, 3000000000);
  EXPECT_EQ(seen["val_loss"][0].second, -1e30f);
  EXPECT_EQ(seen[std::string(50, 'x')].size(), 40u);
}

TEST(EventFile, OpeningAgainKeepsWholeEventsUpToTheStepAndOnlyThose) {
  const test::TempFolder folder;
  const fs::path path = folder / "events.out.tfevents.test";
  const auto add = [](EventFile& file, int64_t step) {
    file.add(step, 1.7e9, std::vector<Scalar>{{"loss", static_cast<double>(step)}});
  };
  std::vector<uintmax_t> sizes;  // after each event
  {
    EventFile file(path, -1);
    for (int64_t step = 1; step <= 5; ++step) {
      sizes.push_back(fs::file_size(path));
      add(file, step);
    }
  }
  const std::string whole = read_text(path);
  EventFile(path, 3);
  EXPECT_EQ(fs::file_size(path), sizes[3]);
  EXPECT_EQ(read_text(path), whole.substr(0, sizes[3]));
  // Torn at every byte of the last two records: the whole ones stay, and what is added afterwards is read.
  for (size_t torn = sizes[2]; torn < sizes[3]; ++torn) {
    write_text(path, whole.substr(0, torn));
    EventFile(path, 100);
    ASSERT_EQ(fs::file_size(path), sizes[2]) << torn;
  }
  std::string flipped = whole;
  flipped[sizes[3] + 20] = static_cast<char>(flipped[sizes[3] + 20] ^ 1);
  for (const std::string& bad : {flipped, whole.substr(0, sizes[3]) + std::string(64, '\0'),
                                 whole.substr(0, sizes[3]) + std::string(64, '\xff')}) {
    write_text(path, bad);
    EventFile file(path, 100);
    EXPECT_EQ(fs::file_size(path), sizes[3]);
    add(file, 4);
    add(file, 5);
  }
  EXPECT_EQ(read_text(path), whole);
  if (const auto out = judged(folder.path())) {
    EXPECT_EQ(*out, "loss 1 1.0\nloss 2 2.0\nloss 3 3.0\nloss 4 4.0\nloss 5 5.0\nfile_version 2.0\n");
  }
  write_text(path, "no events at all");
  EventFile(path, 100);
  EXPECT_EQ(fs::file_size(path), sizes[0]);
}

// ---- the log

std::vector<LogColumn> columns() {
  std::vector<LogColumn> columns = usual_columns();
  columns.push_back({"val_loss", "Validation loss."});
  return columns;
}

LogRow row_of(int64_t step) {
  const auto x = static_cast<double>(step);
  return {.step = step,
          .epoch = (step - 1) / 4,
          .samples = 2 * step,
          .wall_s = 0.5 * x,
          .values = {{"loss", 1.0 / x}, {"lr", 1e-3}, {"input_share", step % 2 == 0 ? kNaN : 0.5}}};
}

/// Steps (from, to] with an epoch row every fourth.
void train(TrainingLog& log, int64_t from, int64_t to) {
  for (int64_t step = from + 1; step <= to; ++step) {
    log.add_step(row_of(step));
    if (step % 4 == 0) {
      LogRow row = row_of(step);
      row.epoch = step / 4;
      row.values.emplace_back("val_loss", 2.0 / static_cast<double>(step));
      log.add_epoch(row);
    }
  }
  log.sync();
}

TEST(TrainingLog, OneRowFeedsMetricsHistoryAndTensorBoard) {
  const test::TempFolder folder;
  TrainingLog log(folder.path(), columns(), 0);
  train(log, 0, 8);
  std::istringstream metrics(read_text(folder / "metrics.jsonl"));
  int64_t step = 0;
  for (std::string line; std::getline(metrics, line);) {
    const auto json = nlohmann::json::parse(line);
    ++step;
    EXPECT_EQ(json["step"], step);
    EXPECT_EQ(json["loss"].get<double>(), 1.0 / static_cast<double>(step));
    EXPECT_EQ(json["input_share"].is_null(), step % 2 == 0);
    EXPECT_FALSE(json.contains("val_loss"));
  }
  EXPECT_EQ(step, 8);
  EXPECT_EQ(
      read_text(folder / "history.tsv"),
      "step\tepoch\tsamples\twall_s\tlr\tloss\ttarget_std\tcosine\teffective_rank\tinput_share\tgrad_norm\t"
      "samples_per_s\twait_share\tgpu_mem_gb\tval_loss\n"
      "4\t1\t8\t2\t0.001\t0.25\tn/a\tn/a\tn/a\tn/a\tn/a\tn/a\tn/a\tn/a\t0.5\n"
      "8\t2\t16\t4\t0.001\t0.125\tn/a\tn/a\tn/a\tn/a\tn/a\tn/a\tn/a\tn/a\t0.25\n");
  const auto described = nlohmann::json::parse(read_text(folder / "history.json"));
  EXPECT_EQ(described.size(), 15u);
  for (const auto& column : described) {
    EXPECT_TRUE(column.contains("Description"));
  }
  const auto out = judged(folder.path());
  if (!out) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  EXPECT_NE(out->find("\nloss 1 1.0\n"), std::string::npos) << *out;
  EXPECT_NE(out->find("\nloss 8 0.125\n"), std::string::npos) << *out;
  EXPECT_NE(out->find("\nval_loss 4 0.5\nval_loss 8 0.25\n"), std::string::npos) << *out;
  EXPECT_NE(out->find("\ninput_share 7 0.5\n"), std::string::npos) << *out;
  EXPECT_EQ(out->find("\ninput_share 8"), std::string::npos) << *out;
}

TEST(TrainingLog, AfterAResumeTheFilesAreThoseOfAnUndisturbedTraining) {
  const test::TempFolder calm, broken;
  {
    TrainingLog log(calm.path(), columns(), 0);
    train(log, 0, 16);
  }
  for (const int64_t checkpoint : {int64_t{0}, int64_t{3}, int64_t{4}, int64_t{9}}) {
    {
      TrainingLog log(broken.path(), columns(), 0);
      train(log, 0, 13);
    }
    append(broken / "metrics.jsonl", "{\"step\":14,\"epo");  // killed while writing
    append(broken / "events.out.tfevents.slimbrain", "half");
    {
      TrainingLog log(broken.path(), columns(), checkpoint);
      EXPECT_EQ(log.last_wall_s(), 0.5 * static_cast<double>(checkpoint));
      train(log, checkpoint, 16);
    }
    for (const char* name : {"metrics.jsonl", "history.tsv", "history.json"}) {
      EXPECT_EQ(read_text(broken.path() / name), read_text(calm.path() / name))
          << name << " from " << checkpoint;
    }
    const auto seen = judged(broken.path());
    if (seen) {
      EXPECT_EQ(seen, judged(calm.path()));
    }
  }
}

TEST(TrainingLog, ABrokenTailIsForgottenAndABrokenMiddleIsNot) {
  const test::TempFolder folder;
  {
    TrainingLog log(folder.path(), columns(), 0);
    train(log, 0, 6);
  }
  const std::string good = read_text(folder / "metrics.jsonl");
  append(folder / "metrics.jsonl", std::string(30, '\0') + "\n");
  TrainingLog(folder.path(), columns(), 6);
  EXPECT_EQ(read_text(folder / "metrics.jsonl"), good);
  const size_t third = good.find("{\"step\":3");
  write_text(folder / "metrics.jsonl", good.substr(0, third) + "{}\n" + good.substr(third));
  EXPECT_EQ(code_of([&] { TrainingLog(folder.path(), columns(), 6); }), "SB2019");
  EXPECT_EQ(code_of([&] { TrainingLog(folder.path(), columns(), 2); }), "");
}

TEST(TrainingLog, RowsThatDoNotFitAreRefused) {
  const test::TempFolder folder;
  {
    TrainingLog log(folder.path(), columns(), 0);
    train(log, 0, 4);
    EXPECT_EQ(code_of([&] { log.add_step(row_of(4)); }), "SB9001");
    EXPECT_EQ(code_of([&] { log.add_step(row_of(3)); }), "SB9001");
    EXPECT_EQ(code_of([&] { log.add_step({.step = 5, .values = {{"los", 1.0}}}); }), "SB9001");
    EXPECT_EQ(code_of([&] { log.add_step(row_of(5)); }), "");
  }
  EXPECT_EQ(code_of([&] { TrainingLog(folder.path(), usual_columns(), 4); }), "SB2003");
  write_text(folder / "file", "");
  EXPECT_EQ(code_of([&] { TrainingLog(folder / "file", columns(), 0); }), "SB5001");
}

}  // namespace
}  // namespace slim::train
