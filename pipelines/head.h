// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluate/aggregate.h"
#include "model/checkpoint/model_folder.h"

namespace slim::pipelines {

/// A linear head on the feature, and what its outputs stand for.
struct Head {
  model::HeadTarget target;
  int64_t width = 0;
  std::vector<float> weight;  // [outputs][width]
  std::vector<float> bias;    // [outputs]

  /// Logits, or the standardised number, of features [clips][width]: [clips * outputs], float64.
  std::vector<double> outputs(const std::vector<std::vector<float>>& features) const;
  /// The prediction of one or several clips together from their outputs (evaluate/aggregate.h).
  evaluate::Aggregate aggregate(std::span<const double> outputs) const;
};

/// The head of a model. Error SB4002 where there is none, or where nobody knows what it predicts (imported
/// weights).
Head head_of(const model::ModelFolder& folder);

/// The class of --saliency-class; nullopt when empty. Error SB1002 for a class that the target does not have.
std::optional<int64_t> class_named(const model::HeadTarget& target, const std::string& name);

}  // namespace slim::pipelines
