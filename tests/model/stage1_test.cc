// SPDX-License-Identifier: Apache-2.0
// Stage 1 against an independent implementation; properties of its network and masks.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/error.h"
#include "core/safetensors.h"
#include "model/global_mae.h"
#include "model/window_ranker.h"
#include "roi_pieces.h"

namespace slim::model {
namespace {

using namespace testing;

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

int64_t parameters(const GlobalMae& network) {
  int64_t count = 0;
  for (const at::Tensor& parameter : network->parameters()) {
    count += parameter.numel();
  }
  return count;
}

// ---- Against the reference ----

/// A case of the reference folder with its network and piece.
struct Case {
  SafetensorsFile file;
  Matrix matrix;
  GlobalMae network;
  RoiBatch batch;
};

Case open_case(const std::filesystem::path& path) {
  SafetensorsFile file = SafetensorsFile::open(path);
  const auto about = nlohmann::json::parse(file.metadata().at("case"));
  const std::string prefix = about.at("prefix");
  const int64_t rois = about.at("rois"), frames = about.at("frames");
  Matrix matrix = generated_matrix(prefix + "matrix", rois, frames);
  GlobalMae network = generated_network(global_mae_preset(about.at("preset").get<std::string>(), rois,
                                                          about.value("window_frames", int64_t{5})),
                                        prefix);
  RoiBatch batch = one(network, matrix.whole());
  return {std::move(file), std::move(matrix), std::move(network), std::move(batch)};
}

std::vector<std::filesystem::path> case_files() {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(reference_folder())) {
    for (const auto& entry : std::filesystem::directory_iterator(reference_folder())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("stage1-") && name.ends_with(".safetensors")) {
        files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Compares a gradient with its stored norm and eight values; `floor` is the smallest norm that counts.
void compare_gradient(const SafetensorsFile& file, const std::string& key, const at::Tensor& gradient,
                      double floor) {
  SCOPED_TRACE(key);
  const double expected = read_tensor(file, "grad." + key + ".norm").item<double>();
  const double scale = std::max(expected, floor);
  EXPECT_NEAR(gradient.to(at::kDouble).norm().item<double>(), expected, 1e-3 * scale);
  const at::Tensor at = read_tensor(file, "grad." + key + ".at").to(at::kLong);
  const at::Tensor values = gradient.reshape({-1}).index_select(0, at);
  const at::Tensor stored = read_tensor(file, "grad." + key + ".values");
  EXPECT_LE((values - stored).abs().max().item<double>(), 1e-3 * scale);
}

TEST(Stage1Reference, LossAndGradientsAreTheIndependentOnes) {
  if (case_files().empty()) {
    GTEST_SKIP() << "no stage1-* case in " << reference_folder();
  }
  for (const std::filesystem::path& path : case_files()) {
    SCOPED_TRACE(path.filename().string());
    const Case made = open_case(path);
    const at::Tensor masked = read_tensor(made.file, "masked").to(at::kBool).unsqueeze(0);
    const at::Tensor loss =
        masked_error(made.network->forward(made.batch, masked), made.batch, masked).loss();
    const double expected = read_tensor(made.file, "loss").item<double>();
    EXPECT_NEAR(loss.item<double>(), expected, 1e-4 * expected);
    loss.backward();
    double square = 0.0;
    for (const at::Tensor& parameter : made.network->parameters()) {
      square += std::pow(parameter.grad().to(at::kDouble).norm().item<double>(), 2.0);
    }
    size_t compared = 0;
    for (const auto& item : made.network->named_parameters()) {
      compare_gradient(made.file, item.key(), item.value().grad(), 1e-6 * std::sqrt(square));
      ++compared;
    }
    const auto stored = std::count_if(
        made.file.tensors().begin(), made.file.tensors().end(),
        [](const TensorSpec& t) { return t.name.starts_with("grad.") && t.name.ends_with(".norm"); });
    EXPECT_EQ(compared, static_cast<size_t>(stored));
  }
}

TEST(Stage1Reference, PairMatrixAndEveryScoreAreTheIndependentOnes) {
  if (case_files().empty()) {
    GTEST_SKIP() << "no stage1-* case in " << reference_folder();
  }
  for (const std::filesystem::path& path : case_files()) {
    SCOPED_TRACE(path.filename().string());
    const Case made = open_case(path);
    const PairMatrix errors = pair_matrix(made.network, made.batch);
    const at::Tensor stored = read_tensor(made.file, "pair_matrix");
    ASSERT_EQ(errors.windows, stored.size(0));
    EXPECT_LE(relative_difference(as_tensor(errors.errors), stored), 1e-4);
    for (const std::string ranker : {"mutual_source", "mutual_target", "mutual_sum", "leave_one_out"}) {
      const at::Tensor scores = as_tensor(window_scores(ranker, made.network, made.batch));
      EXPECT_LE(relative_difference(scores, read_tensor(made.file, ranker)), 1e-4) << ranker;
    }
  }
}

// ---- Network ----

TEST(GlobalMae, PresetsHaveTheirCountsOfParameters) {
  for (const auto& [name, expected] : {std::pair{"base", 2'735'200}, std::pair{"tiny", 122'080}}) {
    const GlobalMaeOptions options = global_mae_preset(name);
    EXPECT_EQ(parameters(GlobalMae(options)), expected);
    int64_t listed = 0;
    for (const TensorSpec& tensor : global_mae_tensors(options)) {
      listed += tensor.count();
    }
    EXPECT_EQ(listed, expected);
  }
  EXPECT_EQ(code_of([] { global_mae_preset("huge"); }), "SB1002");
}

TEST(GlobalMae, ParametersHaveTheListedNamesAndShapes) {
  const GlobalMaeOptions options = global_mae_preset("tiny", 70, 8);
  const GlobalMae network(options);
  const auto parameters = network->named_parameters();
  const std::vector<TensorSpec> listed = global_mae_tensors(options);
  EXPECT_EQ(parameters.size(), listed.size());
  for (const TensorSpec& tensor : listed) {
    const at::Tensor* found = parameters.find(tensor.name.substr(kGlobalMaePrefix.size()));
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->sizes(), at::IntArrayRef(tensor.shape)) << tensor.name;
  }
}

TEST(GlobalMae, GradientIsTheSlopeOfTheLossInDoublePrecision) {
  GlobalMae network = generated_network(global_mae_preset("tiny", 40));
  network->to(at::kDouble);
  Matrix matrix = generated_matrix("m", 40, 30);
  matrix.valid[3] = 0;
  const RoiPiece pieces[] = {matrix.whole(), matrix.piece(10, 20)};
  const RoiBatch batch = make_roi_batch(network->options(), pieces).to(at::kCPU, at::kDouble);
  const at::Tensor masked = draw_token_masks(batch, 1, 0, 0);
  const auto loss = [&] { return masked_error(network->forward(batch, masked), batch, masked).loss(); };
  loss().backward();
  const at::NoGradGuard no_gradient;
  for (auto& item : network->named_parameters()) {
    at::Tensor parameter = item.value();
    const at::Tensor direction = generated("d" + item.key(), parameter.sizes(), 1.0).to(at::kDouble);
    const double slope = (parameter.grad() * direction).sum().item<double>();
    constexpr double kStep = 1e-7;
    parameter.add_(direction, kStep);
    const double above = loss().item<double>();
    parameter.sub_(direction, 2.0 * kStep);
    const double below = loss().item<double>();
    parameter.add_(direction, kStep);
    EXPECT_NEAR((above - below) / (2.0 * kStep), slope, 1e-5 * (1.0 + std::abs(slope))) << item.key();
  }
}

TEST(GlobalMae, WhatIsMaskedOrInvalidCannotBeSeen) {
  const GlobalMae network = generated_network(global_mae_preset("tiny", 70));
  Matrix matrix = generated_matrix("m", 70, 40);
  matrix.valid[20] = 0;
  std::fill(matrix.valid.begin() + 64, matrix.valid.end(), uint8_t{0});  // group 2 has no entry
  const at::NoGradGuard no_gradient;
  at::Tensor masked = at::zeros({1, 3, 8}, at::kBool);
  masked[0][0][2] = true;
  const at::Tensor before = network->forward(one(network, matrix.whole()), masked).narrow(1, 0, 2);
  Matrix changed = matrix;
  for (const int64_t roi : {20, 64, 69}) {
    std::fill_n(changed.values.begin() + roi * 40, 40, 5.0f);
  }
  std::fill_n(changed.values.begin() + 7 * 40 + 10, 5, -4.0f);  // ROI 7 in window 2: masked
  EXPECT_TRUE(before.equal(network->forward(one(network, changed.whole()), masked).narrow(1, 0, 2)));
  changed.values[7 * 40 + 15] += 1.0f;  // window 3: visible
  EXPECT_FALSE(before.equal(network->forward(one(network, changed.whole()), masked).narrow(1, 0, 2)));
}

TEST(GlobalMae, AShorterPieceInABatchGivesWhatItGivesAlone) {
  const GlobalMae network = generated_network(global_mae_preset("tiny", 40));
  const Matrix matrix = generated_matrix("m", 40, 60);
  const RoiPiece pieces[] = {matrix.whole(), matrix.piece(7, 33)};
  const RoiBatch batch = make_roi_batch(network->options(), pieces);
  ASSERT_EQ(batch.patches.size(2), 12);
  EXPECT_FALSE(batch.all_present);
  const at::NoGradGuard no_gradient;
  const at::Tensor both = at::zeros({2, 2, 12}, at::kBool);
  const at::Tensor together = network->forward(batch, both)[1].narrow(1, 0, 6);
  const at::Tensor alone = network->forward(one(network, pieces[1]), at::zeros({1, 2, 6}, at::kBool))[0];
  EXPECT_LE(relative_difference(together, alone), 1e-5);
}

TEST(GlobalMae, LossCountsExistingEntriesOfMaskedTokensAlone) {
  Matrix matrix = generated_matrix("m", 40, 20);
  matrix.valid[33] = 0;
  const GlobalMae network = generated_network(global_mae_preset("tiny", 40));
  const RoiBatch batch = one(network, matrix.whole());
  at::Tensor masked = at::zeros({1, 2, 4}, at::kBool);
  masked[0][1][3] = true;  // ROIs 32..39 without 33, frames 15..19
  const at::NoGradGuard no_gradient;
  const at::Tensor output = network->forward(batch, masked);
  double error = 0.0, zero = 0.0;
  for (int64_t roi = 32; roi < 40; ++roi) {
    for (int64_t frame = 0; frame < 5 && roi != 33; ++frame) {
      const double truth = static_cast<double>(matrix.values[static_cast<size_t>(roi * 20 + 15 + frame)]);
      error += std::abs(truth - output[0][1][3][(roi - 32) * 5 + frame].item<double>());
      zero += std::abs(truth);
    }
  }
  const MaskedError found = masked_error(output, batch, masked);
  EXPECT_EQ(found.entries.item<double>(), 35.0);
  EXPECT_NEAR(found.loss().item<double>(), error / 35.0, 1e-6);
  EXPECT_NEAR(found.skill(), 1.0 - error / zero, 1e-5);
}

TEST(GlobalMae, RefusesOtherRegionsAndRunsWithoutAny) {
  const GlobalMaeOptions options = global_mae_preset("tiny", 40);
  Matrix matrix = generated_matrix("m", 41, 20);
  RoiPiece piece = matrix.whole();
  EXPECT_EQ(code_of([&] { make_roi_batch(options, std::span(&piece, 1)); }), "SB4002");
  matrix = generated_matrix("m", 40, 20);
  std::fill(matrix.valid.begin(), matrix.valid.end(), uint8_t{0});
  piece = matrix.whole();
  EXPECT_EQ(code_of([&] { make_roi_batch(options, std::span(&piece, 1)); }), "SB2015");
  piece.first = 5;
  EXPECT_EQ(code_of([&] { make_roi_batch(options, std::span(&piece, 1)); }), "SB9001");
}

TEST(GlobalMae, TheStartIsAFunctionOfTheSeed) {
  GlobalMae a(global_mae_preset("tiny", 40)), b(global_mae_preset("tiny", 40));
  init_global_mae(a, 5);
  init_global_mae(b, 5);
  EXPECT_EQ(global_mae_sha256(a), global_mae_sha256(b));
  init_global_mae(b, 6);
  EXPECT_NE(global_mae_sha256(a), global_mae_sha256(b));
  EXPECT_NEAR(a->mask_token.std().item<double>(), 0.02, 0.006);
  EXPECT_EQ(a->norm->weight.min().item<float>(), 1.0f);
}

TEST(GlobalMae, WeightsComeBackFromAFileAndAMissingOneIsRefused) {
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "stage1.safetensors";
  GlobalMae network(global_mae_preset("tiny", 40));
  init_global_mae(network, 3);
  const std::vector<TensorSpec> tensors = global_mae_tensors(network->options());
  SafetensorsWriter writer(path, tensors, {});
  for (const TensorSpec& tensor : tensors) {
    const at::Tensor values = *network->named_parameters().find(tensor.name.substr(kGlobalMaePrefix.size()));
    writer.append(
        std::as_bytes(std::span(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()))));
  }
  writer.finish();
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(global_mae_sha256(load_global_mae(file, network->options())), global_mae_sha256(network));
  EXPECT_EQ(code_of([&] { load_global_mae(file, global_mae_preset("tiny", 400)); }), "SB4002");
  EXPECT_EQ(code_of([&] { load_global_mae(file, global_mae_preset("base", 40)); }), "SB4002");
  std::filesystem::remove(path);
}

// ---- Masks ----

enum class Kind { Tokens, FewVisible, FewMasked };

TEST(DrawTokenMask, IsAMixtureOfTokensAndWholeWindowsWithTheStatedShares) {
  constexpr int64_t kGroups = 19, kWindows = 16;
  std::vector<uint8_t> present(kGroups * kWindows, 1);
  std::fill(present.begin() + 5 * kWindows, present.begin() + 6 * kWindows, uint8_t{0});
  std::map<Kind, int> count;
  std::map<int64_t, int> visible_counts, masked_counts;
  for (uint64_t draw = 0; draw < 4000; ++draw) {
    const std::vector<uint8_t> masked = draw_token_mask(present, kWindows, Stream(1, "mae_mask", 0, draw));
    int64_t whole = 0, none = 0;
    for (int64_t j = 0; j < kWindows; ++j) {
      int64_t inside = 0;
      for (int64_t g = 0; g < kGroups; ++g) {
        inside += masked[static_cast<size_t>(g * kWindows + j)];
        ASSERT_FALSE(g == 5 && masked[static_cast<size_t>(g * kWindows + j)] != 0)
            << "a token that does not exist";
      }
      whole += inside == kGroups - 1 ? 1 : 0;
      none += inside == 0 ? 1 : 0;
    }
    if (whole + none == kWindows) {
      ++count[whole > 4 ? Kind::FewVisible : Kind::FewMasked];
      ++(whole > 4 ? visible_counts[none] : masked_counts[whole]);
    } else {
      ++count[Kind::Tokens];
      ASSERT_EQ(std::accumulate(masked.begin(), masked.end(), int64_t{0}), 18 * 16 * 6 / 10);
    }
  }
  EXPECT_NEAR(count[Kind::Tokens], 2000, 160);
  EXPECT_NEAR(count[Kind::FewVisible], 1600, 160);
  EXPECT_NEAR(count[Kind::FewMasked], 400, 100);
  EXPECT_EQ(visible_counts.begin()->first, 1);
  EXPECT_EQ(visible_counts.rbegin()->first, 8);
  EXPECT_EQ(visible_counts.size(), 8u);
  EXPECT_EQ(masked_counts.begin()->first, 1);
  EXPECT_EQ(masked_counts.rbegin()->first, 4);
  EXPECT_EQ(masked_counts.size(), 4u);
}

TEST(DrawTokenMask, OfABatchIsThatOfEachPieceAloneAndFollowsItsPosition) {
  const Matrix matrix = generated_matrix("m", 40, 60);
  const GlobalMaeOptions options = global_mae_preset("tiny", 40);
  const RoiPiece pieces[] = {matrix.whole(), matrix.piece(7, 33), matrix.piece(0, 60)};
  const at::Tensor masks = draw_token_masks(make_roi_batch(options, pieces), 1, 4, 10);
  for (int64_t i = 0; i < 3; ++i) {
    const RoiBatch alone = make_roi_batch(options, std::span(&pieces[i], 1));
    const at::Tensor own = draw_token_masks(alone, 1, 4, 10 + static_cast<uint64_t>(i));
    EXPECT_TRUE(masks[i].narrow(1, 0, own.size(2)).equal(own[0])) << i;
    EXPECT_EQ(masks[i].sum().item<int64_t>(), own.sum().item<int64_t>()) << "masked beyond the piece's end";
  }
  EXPECT_FALSE(masks[0].equal(masks[2]));
  EXPECT_EQ(code_of([] { draw_token_mask(std::vector<uint8_t>(3, 1), 1, Stream(1, "mae_mask")); }), "SB9001");
}

}  // namespace
}  // namespace slim::model
