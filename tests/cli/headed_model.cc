// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/headed_model.h"

#include <cstring>

#include "core/atomic_file.h"
#include "core/seed.h"
#include "evaluate/splits_table.h"
#include "tests/cli/toy.h"

namespace fs = std::filesystem;

namespace slim::test {
namespace {

std::vector<float> stored_values(const SafetensorsFile& file, const TensorSpec& stored) {
  std::vector<float> values(static_cast<size_t>(stored.count()));
  std::memcpy(values.data(), file.data(stored).data(), values.size() * sizeof(float));
  return values;
}

}  // namespace

std::vector<float> random_values(const TensorSpec& spec) {
  std::vector<float> values(static_cast<size_t>(spec.count()));
  Stream stream(1, spec.name);
  for (float& value : values) {
    value = static_cast<float>(0.3 * stream.normal());
  }
  return values;
}

void write_headed_model(const fs::path& folder, const PlantedHead& head) {
  const model::ModelFolder toy = model::open_model(toy_model());
  model::ModelConfig config = toy.config;
  config.head_outputs = head.target.outputs();
  if (head.tells_target) {
    config.head_target = head.target;
  }
  model::ModelCard card{
      .name = folder.filename().string().substr(6),
      .trained = true,
      .made_by = "finetune",
      .tuning = model::ModelTuning{.method = "linear",
                                   .parent = toy.card.weights_sha256,
                                   .datasets = {"slimbrain"},
                                   .ranker = "all",
                                   .participants = static_cast<int64_t>(head.learnt_from.size()),
                                   .runs = head.runs,
                                   .clips = head.clips,
                                   .lambda_per_column = 1.0}};
  std::vector<model::WeightSource> weights;
  for (const TensorSpec& spec : model::configured_tensors(config)) {
    weights.push_back({.spec = spec, .make = [&, spec] {
                         const TensorSpec* stored = toy.weights.find(spec.name);
                         return stored ? stored_values(toy.weights, *stored) : head.values(spec);
                       }});
  }
  evaluate::Splits splits{.seed = 1};
  for (const std::string& subject : head.learnt_from) {
    splits.rows.push_back({.key = "slimbrain/" + subject, .role = evaluate::Role::Train});
  }
  model::write_model(folder, config, std::move(card), weights, [&](const fs::path& partial) {
    write_text(partial / "splits.tsv", evaluate::splits_tsv(std::span(&splits, 1)));
  });
}

}  // namespace slim::test
