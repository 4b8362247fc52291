// SPDX-License-Identifier: Apache-2.0
// Holds the pre-training objectives against the outputs of an independent implementation. Every
// jepa-*.safetensors and mae-*.safetensors of the reference folder is run as its metadata says.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/safetensors.h"
#include "generated.h"
#include "model/jepa.h"
#include "model/stage2_mae.h"
#include "model/voxel_order.h"
#include "train/ema.h"
#include "train/optimiser.h"

namespace slim::train {
namespace {

namespace fs = std::filesystem;
using model::testing::generated;
using nlohmann::json;

constexpr double kRows = 1e-4, kLoss = 1e-4, kTensors = 1e-3, kFloor = 1e-6;

at::Tensor read_tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorSpec* const spec = file.find(name);
  if (spec == nullptr) {
    throw std::runtime_error("the case lacks " + name);
  }
  const at::ScalarType type = spec->dtype == DType::I32   ? at::kInt
                              : spec->dtype == DType::F64 ? at::kDouble
                                                          : at::kFloat;
  return at::from_blob(const_cast<std::byte*>(file.data(*spec).data()), spec->shape, type).clone();
}

double scalar(const SafetensorsFile& file, const std::string& name) {
  return read_tensor(file, name).item<double>();
}

/// Regions of the named contexts: all 27 locations, two time blocks.
model::Regions named_regions(const std::string& name) {
  static const std::map<std::string, std::pair<std::vector<int64_t>, std::vector<int64_t>>> kNamed{
      {"a", {{1, 2}, {0, 1, 3, 4, 5, 7, 9, 10, 12, 13, 14, 16, 17, 19, 20, 21, 22, 23, 25, 26}}},
      {"b", {{3, 4}, {0, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 15, 16, 18, 19, 20, 22, 24, 25, 26}}}};
  const auto& [blocks, locations] = kNamed.at(name);
  return model::regions_of(blocks, locations, model::existing_locations({}));
}

/// The cases' clips are 0 outside the packaged brain mask.
at::Tensor packed_clip(const std::string& name) {
  return model::packed_from_dense(model::testing::only_brain(model::testing::generated_clip(name)),
                                  packaged_token_set());
}

/// The valid voxels of those clips, [clips, tokens, 64].
at::Tensor brain_voxels(int64_t clips) {
  const at::Tensor ones = at::ones({1, kClipFrames, kSlimSize, kSlimSize, kSlimSize});
  return model::packed_from_dense(model::testing::only_brain(ones), packaged_token_set())
      .select(1, 0)
      .to(at::kBool)
      .expand({clips, -1, -1});
}

/// KIND.KEY.{norm,at,values} of every parameter of that kind in the case; `global` sets the floor.
void compare_tensors(const SafetensorsFile& file, const std::string& kind, const Parameters& parameters,
                     double global) {
  size_t compared = 0;
  for (const auto& [key, tensor] : parameters) {
    SCOPED_TRACE(kind + "." + key);
    const std::string name = kind + "." + key;
    const at::Tensor flat = tensor.detach().to(at::kDouble).reshape({-1});
    const double norm = scalar(file, name + ".norm");
    const double scale = std::max(norm, kFloor * global);
    EXPECT_NEAR(flat.norm().item<double>(), norm, kTensors * scale);
    const at::Tensor at = read_tensor(file, name + ".at").to(at::kLong);
    const at::Tensor values = read_tensor(file, name + ".values").to(at::kDouble);
    EXPECT_LE((flat.index_select(0, at) - values).abs().max().item<double>(), kTensors * scale);
    ++compared;
  }
  size_t stored = 0;
  for (const TensorSpec& spec : file.tensors()) {
    stored += spec.name.starts_with(kind + ".") && spec.name.ends_with(".norm") ? 1 : 0;
  }
  EXPECT_EQ(compared, stored) << "tensors of " << kind;
}

Parameters gradients_of(const Parameters& parameters) {
  Parameters gradients;
  for (const auto& [key, parameter] : parameters) {
    gradients[key] = parameter.grad().defined() ? parameter.grad().clone() : at::zeros_like(parameter);
  }
  return gradients;
}

double global_norm(const Parameters& tensors) {
  double squares = 0;
  for (const auto& [key, tensor] : tensors) {
    squares += tensor.to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(squares);
}

/// The sampled rows `name`.{cell,rows} of one clip.
void compare_rows(const SafetensorsFile& file, const std::string& name, const at::Tensor& rows,
                  const std::vector<model::RowCell>& cells, int64_t clip) {
  SCOPED_TRACE(name);
  std::map<int64_t, int64_t> row_of;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].clip == clip) {
      row_of[model::final_cell_index(cells[i])] = static_cast<int64_t>(i);
    }
  }
  const at::Tensor wanted = read_tensor(file, name + ".cell");
  std::vector<at::Tensor> picked;
  for (int64_t i = 0; i < wanted.size(0); ++i) {
    const auto found = row_of.find(wanted[i].item<int64_t>());
    ASSERT_NE(found, row_of.end());
    picked.push_back(rows[found->second]);
  }
  EXPECT_LE(model::testing::relative_difference(at::stack(picked), read_tensor(file, name + ".rows")), kRows);
}

void fill_moments(const Optimiser& optimiser, const std::string& prefix) {
  for (const auto& [key, moment] : optimiser.first_moments()) {
    moment.copy_(generated(prefix + "exp_avg." + key, moment.sizes(), 1e-3));
  }
  for (const auto& [key, moment] : optimiser.second_moments()) {
    moment.copy_(generated(prefix + "exp_avg_sq." + key, moment.sizes(), 0.5e-6, 1e-6));
  }
}

void run_jepa(const SafetensorsFile& file, const json& about) {
  const std::string prefix = about.at("prefix"), preset = about.at("preset");
  model::Jepa jepa({.encoder = model::encoder_preset(preset),
                    .predictor = model::predictor_preset(preset),
                    .target_input = model::target_input_from(about.at("target_input").get<std::string>()),
                    .balance_regions = about.at("balance")},
                   0);
  model::testing::generate_parameters(*jepa.online.encoder, prefix);
  model::testing::generate_parameters(*jepa.online.fusion, prefix);
  model::testing::generate_parameters(*jepa.predictor, prefix);
  model::testing::generate_parameters(*jepa.target.encoder, prefix + "xi.");
  model::testing::generate_parameters(*jepa.target.fusion, prefix + "xi.");
  std::vector<at::Tensor> clips;
  std::vector<model::Regions> regions;
  for (const std::string clip : about.at("clips")) {  // "clip0:a"
    clips.push_back(packed_clip(prefix + clip.substr(0, clip.find(':'))));
    regions.push_back(named_regions(clip.substr(clip.find(':') + 1)));
  }
  const model::JepaOutput output = jepa.forward(at::cat(clips), regions);
  const double loss = scalar(file, "loss");
  EXPECT_NEAR(output.loss(), loss, kLoss * loss);
  const at::Tensor counts = read_tensor(file, "target_rows");
  for (int64_t clip = 0; clip < static_cast<int64_t>(clips.size()); ++clip) {
    const std::string name = "clip" + std::to_string(clip);
    EXPECT_LE(
        model::testing::relative_difference(output.region_means[clip], read_tensor(file, name + ".regions")),
        kLoss);
    compare_rows(file, name + ".context", output.context, output.context_cells, clip);
    compare_rows(file, name + ".target", output.targets, output.target_cells, clip);
    compare_rows(file, name + ".prediction", output.predictions, output.target_cells, clip);
    EXPECT_EQ(std::count_if(output.target_cells.begin(), output.target_cells.end(),
                            [&](const model::RowCell& cell) { return cell.clip == clip; }),
              counts[clip].item<int64_t>());
  }
  (output.loss_sum / output.divisor).backward();
  const Parameters online = jepa.online_parameters();
  const Parameters gradients = gradients_of(online);
  const double norm = scalar(file, "grad_norm");
  EXPECT_NEAR(global_norm(gradients), norm, kTensors * norm);
  compare_tensors(file, "grad", gradients, norm);

  Optimiser optimiser(online, {});
  fill_moments(optimiser, prefix);
  optimiser.resume(10);
  EXPECT_NEAR(optimiser.step(1.0, {.peak = 1e-3, .floor = 1e-3, .steps = 11}).item<double>(), norm,
              kTensors * norm);
  compare_tensors(file, "stepped", online, 0.0);
  Ema ema(optimiser.masters(), jepa.target_parameters());
  ema.update(0.95);
  compare_tensors(file, "ema", jepa.target_parameters(), 0.0);
}

void run_mae(const SafetensorsFile& file, const json& about) {
  const std::string prefix = about.at("prefix"), preset = about.at("preset");
  model::Stage2Mae mae({.encoder = model::encoder_preset(preset),
                        .decoder = model::predictor_preset(preset),
                        .frames = model::mae_frames_from(about.at("frames").get<std::string>())},
                       0);
  model::testing::generate_parameters(*mae.online.encoder, prefix);
  model::testing::generate_parameters(*mae.online.fusion, prefix);
  model::testing::generate_parameters(*mae.decoder, prefix);
  std::vector<at::Tensor> clips;
  for (const std::string clip : about.at("clips")) {
    clips.push_back(packed_clip(prefix + clip));
  }
  const auto visible = about.at("visible_units").get<std::vector<int64_t>>();
  const model::Stage2MaeOutput output = mae.forward(
      at::cat(clips), brain_voxels(static_cast<int64_t>(clips.size())), std::vector(clips.size(), visible));
  const double loss = scalar(file, "loss");
  EXPECT_NEAR(output.loss(), loss, kLoss * loss);
  EXPECT_EQ(output.masked_cells, static_cast<int64_t>(scalar(file, "masked_cells")));
  (output.loss_sum / output.divisor).backward();
  const Parameters gradients = gradients_of(mae.parameters());
  compare_tensors(file, "grad", gradients, global_norm(gradients));
}

template <class Run>
void run_cases(const std::string& kind, Run run) {
  size_t cases = 0;
  const fs::path folder = model::testing::reference_folder();
  std::vector<fs::path> files;
  if (fs::is_directory(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().starts_with(kind + "-") &&
          entry.path().extension() == ".safetensors") {
        files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    SCOPED_TRACE(path.filename());
    const SafetensorsFile file = SafetensorsFile::open(path);
    run(file, json::parse(file.metadata().at("case")));
    ++cases;
  }
  if (cases == 0) {
    GTEST_SKIP() << "no " << kind << " cases in " << folder;
  }
}

TEST(PretrainingReference, JepaStepEqualsTheIndependentImplementation) { run_cases("jepa", run_jepa); }
TEST(PretrainingReference, MaeLossAndGradientsEqualTheIndependentImplementation) {
  run_cases("mae", run_mae);
}

}  // namespace
}  // namespace slim::train
