// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "model/checkpoint/model_folder.h"

namespace slim::test {

/// Values of a tensor drawn at random.
std::vector<float> random_values(const TensorSpec& spec);

/// A head for the toy model, as a linear one that finetune makes.
struct PlantedHead {
  model::HeadTarget target;
  bool tells_target =
      true;  // false: as of an imported model, whose config does not say what the head predicts
  std::vector<std::string> learnt_from{"sub-01"};
  int64_t runs = 1, clips = 2;
  std::function<std::vector<float>(const TensorSpec&)> values = random_values;  // of the head's tensors
};

/// Writes the toy model with this head as the folder .../model-NAME.
void write_headed_model(const std::filesystem::path& folder, const PlantedHead& head);

}  // namespace slim::test
