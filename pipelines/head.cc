// SPDX-License-Identifier: Apache-2.0
#include "pipelines/head.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace slim::pipelines {
namespace {

std::vector<float> values_of(const SafetensorsFile& weights, const std::string& name) {
  const TensorSpec& spec = *weights.find(name);  // open_model has checked that it is there
  std::vector<float> values(static_cast<size_t>(spec.count()));
  std::memcpy(values.data(), weights.data(spec).data(), values.size() * sizeof(float));
  return values;
}

}  // namespace

std::vector<double> Head::outputs(const std::vector<std::vector<float>>& features) const {
  std::vector<double> all;
  for (const std::vector<float>& feature : features) {
    for (size_t output = 0; output < bias.size(); ++output) {
      const float* row = weight.data() + output * static_cast<size_t>(width);
      double sum = bias[output];
      for (size_t i = 0; i < static_cast<size_t>(width); ++i) {
        sum += static_cast<double>(row[i]) * static_cast<double>(feature[i]);
      }
      all.push_back(sum);
    }
  }
  return all;
}

evaluate::Aggregate Head::aggregate(std::span<const double> outputs) const {
  return target.classes.empty() ? evaluate::aggregate_numbers(outputs, target.mean, target.sd)
                                : evaluate::aggregate_classes(outputs, static_cast<int>(target.outputs()));
}

Head head_of(const model::ModelFolder& folder) {
  const std::string name = folder.card.name;
  const std::string remedy =
      "slimbrain - OUT_DIR group --stages finetune --model " + name + " --target COLUMN";
  if (!folder.config.head_outputs) {
    throw Error(message::kUnfitModel, "Model " + name + " has no head, so there is nothing that it predicts.",
                {.file = folder.path.string(), .remedy = remedy});
  }
  if (!folder.config.head_target) {
    throw Error(message::kUnfitModel,
                "The head of model " + name + " does not say what it predicts: it was imported.",
                {.file = folder.path.string(), .remedy = remedy});
  }
  return {.target = *folder.config.head_target,
          .width = folder.config.encoder.width(),
          .weight = values_of(folder.weights, "head.projection.weight"),
          .bias = values_of(folder.weights, "head.projection.bias")};
}

std::optional<int64_t> class_named(const model::HeadTarget& target, const std::string& name) {
  if (name.empty()) {
    return std::nullopt;
  }
  const auto found = std::find(target.classes.begin(), target.classes.end(), name);
  if (found == target.classes.end()) {
    std::string known;
    for (const std::string& one : target.classes) {
      known += (known.empty() ? "" : ", ") + one;
    }
    throw Error(message::kBadValue,
                "--saliency-class " + name + " is not valid: " +
                    (known.empty() ? target.name + " is a number." : "the classes are " + known + "."));
  }
  return found - target.classes.begin();
}

}  // namespace slim::pipelines
