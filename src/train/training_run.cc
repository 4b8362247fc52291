// SPDX-License-Identifier: Apache-2.0
#include "train/training_run.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "train/checkpoint_tensors.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

constexpr const char* kState = "trainer.json";
// The sums of the running epoch, among the counters of the state.
constexpr const char* kSum = "sum.";
constexpr const char* kCount = "count.";

void refuse_other_settings(const TrainerState& saved, const std::map<std::string, std::string>& now,
                           const fs::path& checkpoint) {
  for (const ChangedHash& change : changed_hashes(saved, now)) {
    const auto or_none = [](const std::string& value) { return value.empty() ? "none" : value; };
    throw Error(
        message::kOtherSettings,
        "The training that was begun here has " + change.name + " " + or_none(change.saved) +
            ", this call has " + or_none(change.now) + ".",
        {.file = checkpoint.string(),
         .remedy = "call with the same settings, choose another --model-name, or start anew with --force"});
  }
}

const RunSetup& checked(const RunSetup& setup) {
  if (setup.epochs < 1 || setup.log_every < 1) {
    throw Error(message::kBadValue, "A training needs at least one epoch.",
                {.found = std::to_string(setup.epochs)});
  }
  return setup;
}

}  // namespace

TrainingRun::TrainingRun(const RunSetup& setup, const TrainerHooks& hooks, const model::Parameters& tensors)
    : setup_(checked(setup)),
      hooks_(hooks),
      checkpoints_(setup.folder / "checkpoints", setup.keep_checkpoints),
      start_(std::chrono::steady_clock::now()),
      last_save_(start_) {
  state_.seed = setup.seed;
  state_.hashes = setup.settings;
  state_.threads = at::get_num_threads();
  if (const std::optional<fs::path> latest = checkpoints_.latest()) {
    go_on(*latest, tensors);
  }
  log_.emplace(setup.folder, setup.columns, state_.step);
  wall_before_ = state_.wall_s;
  first_step_ = state_.step;
}

void TrainingRun::go_on(const fs::path& checkpoint, const model::Parameters& tensors) {
  const TrainerState saved = read_trainer_state(checkpoint / kState);
  refuse_other_settings(saved, setup_.settings, checkpoint);
  read_tensors(checkpoint / kCheckpointTensors, tensors);
  state_ = saved;
  state_.threads = at::get_num_threads();
  if (is_over()) {
    return;
  }
  hooks_.say("going on after step " + std::to_string(state_.step));
  if (saved.threads != state_.threads && setup_.on_cpu) {
    hooks_.say("on " + std::to_string(state_.threads) + " threads instead of " +
               std::to_string(saved.threads) + ": the last digits of the weights will differ");
  }
}

double TrainingRun::wall_s() const { return wall_before_ + seconds_since(start_); }

double TrainingRun::wait_share(double seconds_waited) const {
  return state_.step > first_step_ && seconds_waited > 1e-3 ? 1.0 : 0.0;
}

void TrainingRun::add_step(int64_t samples, const std::vector<Scalar>& values) {
  const bool logged = is_logged();
  state_.step += 1;
  state_.epoch_step += 1;
  state_.samples += samples;
  state_.wall_s = wall_s();
  for (const auto& [name, value] : values) {
    if (std::isfinite(value)) {
      state_.watch[kSum + name] += value;
      state_.watch[kCount + name] += 1;
    }
  }
  if (logged) {
    log_->add_step({.step = state_.step,
                    .epoch = state_.epoch,
                    .samples = state_.samples,
                    .wall_s = state_.wall_s,
                    .values = values});
  }
}

void TrainingRun::say_progress(double loss, double rate, double samples_per_s) const {
  const int64_t steps = setup_.epochs * setup_.steps_per_epoch;
  const double each = seconds_since(start_) / static_cast<double>(state_.step - first_step_);
  hooks_.on_step({.step = state_.step,
                  .steps = steps,
                  .epoch = state_.epoch,
                  .epochs = setup_.epochs,
                  .epoch_step = state_.epoch_step,
                  .epoch_steps = setup_.steps_per_epoch,
                  .loss = loss,
                  .rate = rate,
                  .clips_per_s = samples_per_s,
                  .seconds_left = each * static_cast<double>(steps - state_.step)});
}

double TrainingRun::mean(const std::string& name) const {
  return state_.watch.at(kSum + name) / state_.watch.at(kCount + name);
}

std::string TrainingRun::epoch_sentence() const {
  return "epoch " + std::to_string(state_.epoch + 1) + " of " + std::to_string(setup_.epochs) + ": loss " +
         short_text(mean("loss"));
}

void TrainingRun::end_epoch(const std::vector<Scalar>& last, const std::vector<Scalar>& more) {
  LogRow row{.step = state_.step, .epoch = state_.epoch + 1, .samples = state_.samples};
  for (const auto& [key, sum] : state_.watch) {
    if (key.starts_with(kSum)) {
      const std::string name = key.substr(std::string_view(kSum).size());
      const auto own =
          std::find_if(last.begin(), last.end(), [&](const Scalar& s) { return s.first == name; });
      row.values.emplace_back(name, own == last.end() ? mean(name) : own->second);
    }
  }
  row.values.insert(row.values.end(), more.begin(), more.end());
  state_.wall_s = row.wall_s = wall_s();
  log_->add_epoch(row);
  std::erase_if(state_.watch, [](const auto& counter) {
    return counter.first.starts_with(kSum) || counter.first.starts_with(kCount);
  });
  state_.epoch += 1;
  state_.epoch_step = 0;
}

void TrainingRun::save(const model::Parameters& tensors, bool best) {
  log_->sync();
  checkpoints_.save(
      state_.step,
      [&](const fs::path& folder) {
        write_tensors(folder / kCheckpointTensors, tensors);
        write_trainer_state(folder / kState, state_);
      },
      best);
  last_save_ = std::chrono::steady_clock::now();
}

double TrainingRun::seconds_since_save() const { return seconds_since(last_save_); }

void TrainingRun::stop(const std::string& subject) const {
  throw Error(
      message::kStopped,
      subject + " was stopped after step " + std::to_string(state_.step) + "; its checkpoint is saved.",
      {.remedy = "run the same call again (without --force): it continues"});
}

void TrainingRun::refuse(const std::string& what, const std::string& found, const std::string& remedy) const {
  throw Error(message::kNotLearning, what + " at step " + std::to_string(state_.step) + ".",
              {.file = (setup_.folder / "metrics.jsonl").string(),
               .found = found,
               .remedy = "train anew with --force and " + remedy +
                         "; prepare runs anew whose clip stores may be damaged"});
}

std::string short_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace slim::train
