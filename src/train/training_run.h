// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/parameters.h"
#include "train/checkpoint_folder.h"
#include "train/trainer_state.h"
#include "train/training_log.h"

namespace slim::train {

/// How far a training is, after an optimiser step.
struct TrainingProgress {
  int64_t step = 0, steps = 0;                 // taken, of the whole training
  int64_t epoch = 0, epochs = 0;               // running, counted from 0
  int64_t epoch_step = 0, epoch_steps = 0;     // taken in it
  double loss = 0, rate = 0, clips_per_s = 0;  // of the last step
  double seconds_left = 0;
};

struct TrainerHooks {
  const std::atomic<bool>& stop;                                                          // read once a step
  std::function<void(const TrainingProgress&)> on_step = [](const TrainingProgress&) {};  // after each step
  std::function<void(const std::string&)> say = [](const std::string&) {};  // a sentence for people
};

/// What a training is to its folder.
struct RunSetup {
  std::filesystem::path folder;
  uint64_t seed = 0;
  std::map<std::string, std::string> settings{};  // a checkpoint made with another value is Error SB1008
  std::vector<LogColumn> columns{};
  int64_t epochs = 1, steps_per_epoch = 1;
  int64_t log_every = 1;         // steps
  int64_t keep_checkpoints = 2;  // the best one is kept too
  bool on_cpu = true;
};

// Note [Training run]. A checkpoint holds everything that the next step depends on, sums of the running epoch
// included, so that an interrupted training ends with the weights of an undisturbed one, bit for bit on a
// CPU. The log is made safe before the checkpoint of its step is saved.
/// What every training does around its steps (Note [Training run]): it counts, logs, saves, goes on from its
/// last checkpoint, and ends early with a reason.
class TrainingRun {
 public:
  /// Opens the folder; where it has a checkpoint, fills `tensors` (those that `save` is given) from it.
  /// Errors: SB1002 for no epoch, SB1008, those of the files.
  TrainingRun(const RunSetup& setup, const TrainerHooks& hooks, const model::Parameters& tensors);
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  /// Its `watch` and `best` are the trainer's own to change.
  TrainerState& state() { return state_; }
  const TrainerState& state() const { return state_; }
  bool is_resumed() const { return first_step_ > 0; }
  bool is_logged() const { return state_.step % setup_.log_every == 0; }  // the step to come
  bool ended_epoch() const { return state_.epoch_step == setup_.steps_per_epoch; }
  bool is_over() const { return state_.epoch == setup_.epochs; }

  /// 1 when the step to come waited for its input, else 0. The first step fills the ring: that is no
  /// shortage.
  double wait_share(double seconds_waited) const;
  /// Counts a step that saw so many samples, and logs its values if it is a logged one.
  void add_step(int64_t samples, const std::vector<Scalar>& values);
  void say_progress(double loss, double rate, double samples_per_s) const;

  /// Mean over the steps of the running epoch.
  double mean(const std::string& name) const;
  /// "epoch 3 of 6: loss 0.41".
  std::string epoch_sentence() const;
  /// Ends the epoch: its row holds the means, but of `last` the values of the last step, and `more`.
  void end_epoch(const std::vector<Scalar>& last, const std::vector<Scalar>& more);

  /// Saves a checkpoint. Errors of the files.
  void save(const model::Parameters& tensors, bool best = false);
  double seconds_since_save() const;
  const CheckpointFolder& checkpoints() const { return checkpoints_; }

  /// Error SB6001, "Training was stopped after step 7"; the checkpoint must be saved.
  [[noreturn]] void stop(const std::string& subject) const;
  /// Error SB4005, "The loss is not a finite number at step 7".
  [[noreturn]] void refuse(const std::string& what, const std::string& found,
                           const std::string& remedy) const;

 private:
  void go_on(const std::filesystem::path& checkpoint, const model::Parameters& tensors);
  double wall_s() const;

  RunSetup setup_;
  const TrainerHooks& hooks_;
  CheckpointFolder checkpoints_;
  TrainerState state_{};
  std::optional<TrainingLog> log_{};
  std::chrono::steady_clock::time_point start_, last_save_;
  double wall_before_ = 0;
  int64_t first_step_ = 0;
};

/// The tensors of a checkpoint, and where they lie in it.
inline constexpr const char* kCheckpointTensors = "state.safetensors";

/// A number for people, four digits.
std::string short_text(double value);

double seconds_since(std::chrono::steady_clock::time_point start);

}  // namespace slim::train
