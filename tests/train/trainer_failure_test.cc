// SPDX-License-Identifier: Apache-2.0
// Trainings of stage 2 that come to nothing, and full disks.
#include <limits>

#include "core/atomic_file.h"
#include "small_training.h"
#include "tests/support/small_disk.h"
#include "train/checkpoint_folder.h"

namespace slim::train {
namespace {

using namespace testing;

// ---- trainings that come to nothing

TEST_F(Trainer, ALossThatIsNotFiniteEndsTheTrainingAndKeepsTheCheckpointBefore) {
  const Cohort infinite(std::numeric_limits<float>::infinity());
  const Call at_once(tiny(), infinite, folder_ / "at_once");
  ASSERT_EQ(at_once.code(), "SB4005");
  EXPECT_EQ(static_cast<int>(at_once.error->fault()), 65);
  EXPECT_NE(at_once.error->sentence().find("not a finite number at step 1."), std::string::npos);

  TrainerOptions steep = tiny();  // learns its way into infinity
  steep.pretraining.schedule.peak = 1e30;
  ASSERT_EQ(Call(steep, cohort(), folder_ / "steep", 1).code(), "SB6001");
  const auto before = test::tree_hashes(folder_ / "steep/checkpoints", {});
  for (int call = 0; call < 2; ++call) {  // the same call comes to the same end
    const Call ended(steep, cohort(), folder_ / "steep");
    ASSERT_EQ(ended.code(), "SB4005");
    EXPECT_NE(ended.error->sentence().find("not a finite number at step 2."), std::string::npos)
        << ended.error->what();
    EXPECT_NE(ended.error->details().remedy.find("--force"), std::string::npos);
    EXPECT_FALSE(ended.trained);
    EXPECT_EQ(test::tree_hashes(folder_ / "steep/checkpoints", {}), before);
    const std::string metrics = read_text(ended.error->details().file);
    EXPECT_NE(metrics.find("{\"step\":2,"), std::string::npos) << "the step that failed can be looked at";
  }
}

TEST_F(Trainer, AValidationLossThatIsNotFiniteEndsTheTrainingToo) {
  Cohort mixed;
  write_store(mixed.validation.stores.back(), 7, std::numeric_limits<float>::infinity());
  const Call ended(tiny(), mixed, folder_.path());
  ASSERT_EQ(ended.code(), "SB4005");
  EXPECT_NE(ended.error->sentence().find("validation participants is not a finite number at step 3."),
            std::string::npos)
      << ended.error->what();
}

TEST_F(Trainer, ACollapseEndsTheTrainingAtTheSameStepHoweverOftenItWasInterrupted) {
  // Every clip is the same and is seen whole, so places alone explain the targets.
  const Cohort constant(0.5f);
  TrainerOptions options = tiny();
  options.pretraining.jepa.target_input = model::TargetInput::Full;
  options.pretraining.verdict.patience = 7;
  const Call ended(options, constant, folder_ / "calm");
  ASSERT_EQ(ended.code(), "SB4005");
  EXPECT_NE(ended.error->sentence().find("The representation has collapsed at step 7."), std::string::npos)
      << ended.error->what();
  EXPECT_NE(ended.error->details().found.find("in 7 logged steps"), std::string::npos);
  EXPECT_NE(ended.error->details().remedy.find("--seed"), std::string::npos);
  EXPECT_EQ(CheckpointFolder(folder_ / "calm/checkpoints").steps(), (std::vector<int64_t>{3, 6}));
  for (const int64_t step : {2, 4, 5, 6}) {
    ASSERT_EQ(Call(options, constant, folder_ / "broken", step).code(), "SB6001");
  }
  EXPECT_EQ(Call(options, constant, folder_ / "broken").error->sentence(), ended.error->sentence());
  // A cohort that differs between clips does not collapse under the same watch.
  EXPECT_EQ(Call(options, cohort(), folder_ / "healthy").code(), "");
}

// ---- full disk

/// Goes on from step 2 with ever more room, until all of it fits.
void train_on_full_disks(const TrainerOptions& options, const Cohort& cohort, const fs::path& disk,
                         const Parameters& expected) {
  const fs::path folder = disk / "training";
  ASSERT_EQ(Call(options, cohort, folder, 2).code(), "SB6001");
  const fs::path latest = *CheckpointFolder(folder / "checkpoints").latest();
  const auto before = test::tree_hashes(folder / "checkpoints", {});
  const size_t size = fs::file_size(latest / "state.safetensors");
  int failures = 0;
  for (const size_t room : {size_t{0}, size_t{4096}, size_t{8192}, size_t{65536}, size / 3, 2 * size / 3,
                            size, size + 4096, size + 16384, 2 * size, 3 * size, 4 * size}) {
    test::fill_up_to(disk, room);
    const Call call(options, cohort, folder);
    if (call.trained) {
      EXPECT_GE(failures, 6);
      expect_equal(call.trained->weights, expected);
      return;
    }
    ++failures;
    EXPECT_TRUE(call.code() == "SB5002" || call.code() == "SB5001") << call.error->what();
    EXPECT_NE(call.error->details().remedy.find("free some space"), std::string::npos) << call.error->what();
    const CheckpointFolder checkpoints(folder / "checkpoints");
    ASSERT_TRUE(checkpoints.latest());
    if (*checkpoints.latest() == latest) {
      for (const auto& [path, hash] : before) {  // beside it may lie one that `latest` could not come to name
        EXPECT_EQ(test::tree_hashes(folder / "checkpoints", {})[path], hash) << "with room for " << room;
      }
    }
  }
  FAIL() << "it never fitted";
}

TEST_F(Trainer, AFullDiskAtAnyMomentLeavesTheCheckpointBeforeAndTheEndIsTheSame) {
  TrainerOptions options = tiny();
  options.epochs = 2;
  const Call calm(options, cohort(), folder_ / "calm");
  ASSERT_EQ(calm.code(), "") << calm.error->what();
  fs::create_directory(folder_ / "disk");
  // Torch has one thread here, so a copy of the process works on.
  test::on_small_disk(folder_ / "disk", 256 << 20, [&] {
    train_on_full_disks(options, cohort(), folder_ / "disk", calm.trained->weights);
  });
}

}  // namespace
}  // namespace slim::train
