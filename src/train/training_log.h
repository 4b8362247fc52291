// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "train/event_file.h"

namespace slim::train {

/// What is known at an optimiser step or at the end of an epoch. NaN = not known here (`n/a`, null).
struct LogRow {
  int64_t step = 0;  // optimiser steps taken
  int64_t epoch = 0;
  int64_t samples = 0;           // clips seen
  double wall_s = 0;             // since the training began, interruptions left out
  std::vector<Scalar> values{};  // names of columns: lr, loss, loss_cross_time, ..., val_loss
};

/// A column of history.tsv, as its JSON file describes it.
struct LogColumn {
  std::string name;
  std::string description;
  std::string units{};  // empty = none
};

/// The columns of every history but the regions' losses and `val_*`, in their order.
const std::vector<LogColumn>& usual_columns();

// Note [Training log]. One row object feeds three files: metrics.jsonl (each logged step; the truth),
// history.tsv with history.json (each epoch), events.out.tfevents.slimbrain (each logged step; of epochs the
// val_ values). Opened with the step of the checkpoint that training goes on from, all three forget what came
// after it, so that an interrupted training leaves the rows of an undisturbed one.
/// Writes how training goes (Note [Training log]).
class TrainingLog {
 public:
  /// `last_step` is that of the checkpoint, 0 when training starts. `columns` are what rows may hold beside
  /// step, epoch, samples and wall_s. A torn last line is dropped. Errors SB5001, SB5002; SB2019 when a line
  /// in the middle of metrics.jsonl is broken, SB2003 when history.tsv has other columns.
  TrainingLog(const std::filesystem::path& folder, std::vector<LogColumn> columns, int64_t last_step);
  ~TrainingLog();

  /// A logged step. Error SB9001 for a value without a column, or a step that is not after the last one.
  void add_step(const LogRow& row);
  /// The end of an epoch: history.tsv is replaced by one with a row more. Errors as above.
  void add_epoch(const LogRow& row);
  /// Waits until everything said so far is on the disk. Call it after the rows of a step and before the
  /// checkpoint of that step is saved: then no kept row can be missing.
  void sync();

  /// Wall seconds of the last row that was kept, to count on from; 0 without one.
  double last_wall_s() const { return last_wall_s_; }

 private:
  void check(const LogRow& row) const;
  void write_history() const;

  std::filesystem::path folder_;
  std::vector<LogColumn> columns_;
  std::string history_;  // header and rows
  int64_t last_step_ = 0;
  double last_wall_s_ = 0;
  int metrics_ = -1;
  std::unique_ptr<EventFile> events_;
};

}  // namespace slim::train
