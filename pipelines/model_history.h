// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "evaluate/splits.h"
#include "model/checkpoint/model_folder.h"

namespace slim::pipelines {

/// Who a model and the models that it grew from were trained on. Keys are NAME/sub-X.
struct ModelHistory {
  bool known = true;  // false for imported weights: who they learnt from is not written anywhere
  /// The part of each participant: in the model's own splits, else in those of the nearest parent.
  std::map<std::string, evaluate::Role> roles{};
  /// Training and validation participants of the model, then of its parents.
  std::vector<evaluate::TrainedOn> trained{};
  /// Of these, who pre-training (without the target) saw.
  std::vector<evaluate::TrainedOn> pretrained{};

  /// train, validation, test, or none for those in no split.
  std::string split_of(const std::string& key) const;
  /// Whether pre-training saw the participant.
  bool was_pretrained(const std::string& key) const;
};

/// The key of a participant of OUT_DIR itself.
std::string own_key(const std::string& participant);

/// Reads splits.tsv and parent_splits.tsv of a model folder; where they are absent nobody was learnt from.
/// Errors of read_splits with the file's name.
ModelHistory model_history(const model::ModelFolder& model);

/// The text of parent_splits.tsv for a child of `parent`: splits.tsv and parent_splits.tsv of the parent, a
/// column `model` before them; the header alone where the parent has neither.
std::string parent_splits_tsv(const model::ModelFolder& parent);

}  // namespace slim::pipelines
