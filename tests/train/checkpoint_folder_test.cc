// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "core/atomic_file.h"
#include "core/error.h"
#include "tests/support/run_program.h"
#include "tests/support/small_disk.h"
#include "train/trainer_state.h"

namespace slim::train {
namespace {

namespace fs = std::filesystem;

template <class Work>
std::string code_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return {};
}

std::string content_of(int64_t step, size_t bytes) {
  std::mt19937_64 random(static_cast<uint64_t>(step));
  std::string text(bytes, '\0');
  for (char& c : text) {
    c = static_cast<char>(random());
  }
  return text;
}

/// Writes two files whose content tells the step, the larger one in pieces.
void write_checkpoint(const fs::path& folder, int64_t step, size_t bytes) {
  write_trainer_state(folder / "trainer.json", {.step = step});
  OutputFile file(folder / "weights.bin");
  const std::string content = content_of(step, bytes);
  for (size_t at = 0; at < bytes; at += 4096) {
    file.write(std::string_view(content).substr(at, 4096));
  }
  file.finish();
}

auto writer_of(int64_t step, size_t bytes = 10000) {
  return [=](const fs::path& folder) { write_checkpoint(folder, step, bytes); };
}

/// The step of a checkpoint that is whole; -1 otherwise.
int64_t whole_step(const fs::path& checkpoint, size_t bytes = 10000) {
  const TrainerState state = read_trainer_state(checkpoint / "trainer.json");
  const bool whole = checkpoint.filename() == "step-" + std::to_string(state.step) &&
                     read_text(checkpoint / "weights.bin") == content_of(state.step, bytes);
  return whole ? state.step : -1;
}

size_t leftovers(const fs::path& folder) {
  size_t count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    count += entry.path().filename().string().starts_with(kPartialPrefix) ? 1 : 0;
  }
  return count;
}

TEST(CheckpointFolder, KeepsTheLastAndTheBestAndPointsToBoth) {
  const test::TempFolder folder;
  CheckpointFolder checkpoints(folder / "checkpoints", 2);
  EXPECT_FALSE(checkpoints.latest());
  EXPECT_FALSE(checkpoints.best());
  for (int64_t step = 10; step <= 60; step += 10) {
    checkpoints.save(step, writer_of(step), step == 20 || step == 30);
    EXPECT_EQ(whole_step(*checkpoints.latest()), step);
  }
  EXPECT_EQ(whole_step(*checkpoints.best()), 30);
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{30, 50, 60}));
  EXPECT_EQ(read_text(folder / "checkpoints/latest"), "step-60\n");
  EXPECT_EQ(leftovers(folder / "checkpoints"), 0u);
  CheckpointFolder one(folder / "checkpoints", 1);
  one.save(70, writer_of(70));
  EXPECT_EQ(one.steps(), (std::vector<int64_t>{30, 70}));
  one.clear();
  EXPECT_FALSE(one.latest());
  EXPECT_TRUE(fs::is_empty(folder / "checkpoints"));
}

TEST(CheckpointFolder, AStepThatIsSavedAlreadyIsOnlyPointedTo) {
  const test::TempFolder folder;
  CheckpointFolder checkpoints(folder.path(), 2);
  checkpoints.save(5, writer_of(5));
  checkpoints.save(
      5, [](const fs::path&) { FAIL() << "written again"; }, true);
  EXPECT_EQ(whole_step(*checkpoints.best()), 5);
}

TEST(CheckpointFolder, AWriterThatFailsLeavesThePreviousOne) {
  const test::TempFolder folder;
  CheckpointFolder checkpoints(folder.path(), 1);
  checkpoints.save(1, writer_of(1), true);
  const auto before = test::tree_hashes(folder.path(), {});
  const auto failing = [](const fs::path& partial) {
    write_checkpoint(partial, 2, 100);
    throw Error(message::kInputOutput, "the disk burns");
  };
  EXPECT_EQ(code_of([&] { checkpoints.save(2, failing, true); }), "SB5002");
  EXPECT_THROW(checkpoints.save(2, [](const fs::path&) { throw std::bad_alloc(); }), std::bad_alloc);
  EXPECT_EQ(test::tree_hashes(folder.path(), {}), before);
  EXPECT_EQ(leftovers(folder.path()), 0u);
  checkpoints.save(2, writer_of(2));
  EXPECT_EQ(whole_step(*checkpoints.latest()), 2);
  EXPECT_EQ(whole_step(*checkpoints.best()), 1);
}

TEST(CheckpointFolder, AKillBetweenRenameAndPointerIsSurvived) {
  const test::TempFolder folder;
  fs::create_directory(folder / "step-4");
  write_checkpoint(folder / "step-4", 4, 10000);
  {
    CheckpointFolder checkpoints(folder.path(), 1);  // killed before the very first pointer
    EXPECT_EQ(whole_step(*checkpoints.latest()), 4);
    EXPECT_EQ(code_of([&] {
                checkpoints.save(8, [](const fs::path&) { throw Error(message::kInputOutput, "no"); });
              }),
              "SB5002");
    EXPECT_EQ(whole_step(*checkpoints.latest()), 4);
    checkpoints.save(8, writer_of(8));
  }
  fs::create_directory(folder / "step-12");
  write_text(folder / "step-12/trainer.json", "of another life");
  CheckpointFolder checkpoints(folder.path(), 2);  // killed before the pointer moved on from 8
  EXPECT_EQ(whole_step(*checkpoints.latest()), 8);
  checkpoints.save(12, writer_of(12));
  EXPECT_EQ(whole_step(*checkpoints.latest()), 12);
  fs::create_directory(folder / "step-20");
  checkpoints.save(16, writer_of(16));
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{12, 16}));  // 20 lies in a future that did not happen
}

TEST(CheckpointFolder, GarbledPointersAreErrorsAndStrangeNamesNoCheckpoints) {
  const test::TempFolder folder;
  CheckpointFolder checkpoints(folder.path());
  checkpoints.save(3, writer_of(3));
  for (const char* text : {"", "step-4\n", "../step-3\n", "step-3/../..\n", "step-03\n", "step--3\n",
                           "step-3 \n", "step-99999999999999999999\n", "step-3\nstep-4\n"}) {
    write_text(folder / "latest", text);
    EXPECT_EQ(code_of([&] { (void)checkpoints.latest(); }), "SB2021") << text;
  }
  fs::remove(folder / "latest");
  for (const char* name : {"step-", "step-7x", "step-07", "step--9", "other"}) {
    fs::create_directory(folder / name);
  }
  write_text(folder / "step-8", "a file");
  EXPECT_EQ(checkpoints.steps(), std::vector<int64_t>{3});
  EXPECT_EQ(whole_step(*checkpoints.latest()), 3);
  EXPECT_EQ(code_of([&] { CheckpointFolder(folder.path(), 0); }), "SB1002");
  EXPECT_EQ(code_of([&] { CheckpointFolder(folder / "step-8"); }), "SB5001");
}

// ---- kill -9

constexpr size_t kKilledBytes = 1 << 18;

/// Goes on from the latest checkpoint for ever, saving each step.
[[noreturn]] void save_until_killed(const fs::path& folder) {
  CheckpointFolder checkpoints(folder, 2);
  const auto latest = checkpoints.latest();
  for (int64_t step = latest ? whole_step(*latest, kKilledBytes) + 1 : 1;; ++step) {
    if (step <= 0) {
      _exit(3);  // what was found is not whole
    }
    checkpoints.save(step, writer_of(step, kKilledBytes), step % 3 == 0);
  }
}

/// Time that saving a checkpoint takes on this disk.
std::chrono::microseconds time_of_a_save() {
  const test::TempFolder folder;
  CheckpointFolder checkpoints(folder.path());
  const auto start = std::chrono::steady_clock::now();
  for (int64_t step = 1; step <= 4; ++step) {
    checkpoints.save(step, writer_of(step, kKilledBytes));
  }
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start) / 4;
}

TEST(CheckpointFolder, KilledAtRandomMomentsTheLatestOneIsWholeAndNoneIsLost) {
  const test::TempFolder folder;
  std::mt19937 random(20260102);
  const auto most = static_cast<unsigned>(4 * time_of_a_save().count() + 5000);
  int64_t last = 0, partial = 0;
  for (int kill_number = 0; kill_number < 40; ++kill_number) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        save_until_killed(folder.path());
      } catch (...) {
        _exit(4);
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % most));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);
    partial += leftovers(folder.path()) > 0 ? 1 : 0;
    CheckpointFolder checkpoints(folder.path(), 2);
    EXPECT_EQ(leftovers(folder.path()), 0u);
    if (const auto latest = checkpoints.latest()) {
      const int64_t step = whole_step(*latest, kKilledBytes);
      EXPECT_GE(step, std::max<int64_t>(last, 1));
      last = step;
    } else {
      EXPECT_EQ(last, 0);
    }
    for (const int64_t step : checkpoints.steps()) {
      EXPECT_EQ(whole_step(folder / ("step-" + std::to_string(step)), kKilledBytes), step);
    }
    if (const auto best = checkpoints.best()) {
      EXPECT_EQ(whole_step(*best, kKilledBytes) % 3, 0);
    }
  }
  EXPECT_GT(last, 3) << "nothing was saved between the kills";
  EXPECT_GT(partial, 0) << "no kill hit a writer at work";
}

// ---- full disk

/// Saves with ever more room on the disk, until it fits.
void save_on_full_disks(const fs::path& disk) {
  CheckpointFolder checkpoints(disk / "c", 2);
  checkpoints.save(1, writer_of(1), true);
  int failures = 0;
  for (size_t room = 0; room < 64 * 4096; room += 4096) {
    test::fill_up_to(disk, room);
    const std::string code = code_of([&] { checkpoints.save(2, writer_of(2), true); });
    const CheckpointFolder after(disk / "c", 2);
    const std::optional<fs::path> latest = after.latest(), best = after.best();
    ASSERT_TRUE(latest && best) << "with room for " << room;
    ASSERT_GE(whole_step(*latest), 1) << "with room for " << room;
    ASSERT_GE(whole_step(*best), 1) << "with room for " << room;
    ASSERT_EQ(leftovers(disk / "c"), 0u) << "with room for " << room;
    if (code.empty()) {
      EXPECT_EQ(whole_step(*latest), 2);
      EXPECT_EQ(whole_step(*best), 2);
      EXPECT_GE(failures, 3);
      return;
    }
    ASSERT_TRUE(code.starts_with("SB500")) << code;
    ++failures;
  }
  FAIL() << "it never fitted";
}

TEST(CheckpointFolder, AFullDiskAtAnyWriteLeavesThePreviousOne) {
  const test::TempFolder folder;
  test::on_small_disk(folder.path(), 256 << 10, [&] { save_on_full_disks(folder.path()); });
}

// ---- trainer.json

TEST(TrainerState, ComesBackBitForBit) {
  const test::TempFolder folder;
  TrainerState state{.step = 1234567890123,
                     .epoch = 3,
                     .epoch_step = 17,
                     .samples = 99,
                     .wall_s = 0.1 + 0.2,
                     .seed = 0xfedcba9876543210u,
                     .world_size = 4,
                     .best = 1.0 / 3.0,
                     .watch = {{"consecutive", 3.0}, {"loss_sum", 1e-300}},
                     .hashes = {{"config", "ab"}, {"data", "cd"}}};
  write_trainer_state(folder / "trainer.json", state);
  EXPECT_EQ(read_trainer_state(folder / "trainer.json"), state);
  state.best.reset();
  write_trainer_state(folder / "trainer.json", state);
  EXPECT_EQ(read_trainer_state(folder / "trainer.json"), state);
  state.watch["loss_sum"] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code_of([&] { write_trainer_state(folder / "trainer.json", state); }), "SB9001");
}

TEST(TrainerState, DefectsAreCodedErrors) {
  const test::TempFolder folder;
  const fs::path path = folder / "trainer.json";
  EXPECT_EQ(code_of([&] { (void)read_trainer_state(path); }), "SB2101");
  write_text(path, "{\"step\": 1");
  EXPECT_EQ(code_of([&] { (void)read_trainer_state(path); }), "SB2019");
  for (const char* text : {"{}", "[]", "{\"step\": \"one\"}"}) {
    write_text(path, text);
    EXPECT_EQ(code_of([&] { (void)read_trainer_state(path); }), "SB2021") << text;
  }
}

TEST(TrainerState, ChangedHashesAreNamedOnBothSides) {
  const TrainerState saved{.hashes = {{"config", "a"}, {"data", "b"}, {"torch", "c"}}};
  const auto changed = changed_hashes(saved, {{"config", "a"}, {"data", "x"}, {"code", "y"}});
  ASSERT_EQ(changed.size(), 3u);
  EXPECT_EQ(changed[0].name + changed[0].saved + changed[0].now, "codey");
  EXPECT_EQ(changed[1].name + changed[1].saved + changed[1].now, "databx");
  EXPECT_EQ(changed[2].name + changed[2].saved + changed[2].now, "torchc");
  EXPECT_TRUE(changed_hashes(saved, saved.hashes).empty());
}

}  // namespace
}  // namespace slim::train
