// SPDX-License-Identifier: Apache-2.0
// What pre-training is for: a cohort whose groups a trained encoder tells better than one with random
// weights.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <iostream>
#include <numbers>
#include <string>
#include <vector>

#include "bids/tsv.h"
#include "clips/clip_store.h"
#include "core/half.h"
#include "core/seed.h"
#include "core/token_set.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

// Note [Planted texture]. Voxel v of token i at frame t of a participant holds
//   c(i) P(v) + sum over k of g(k, t) Q(k, v) + noise,
// P and the 16 Q being textures inside a token. c is the participant's own field, the same in all frames and
// smooth in space, so that it can be told from other times and places; patients have 0.45 more of it than
// controls. g is the same everywhere, but drawn anew in each frame: nothing of it can be told from other
// times. JEPA learns to keep the first and to let go of the second. Random features hold both, and a probe
// that learns from some 25 participants cannot part the one direction of c from the many that g leaves in a
// mean over 40 frames.
constexpr int kTextures = 16;
using Texture = std::array<double, kTokenVoxels>;

double dot(const Texture& a, const Texture& b) {
  double sum = 0.0;
  for (size_t v = 0; v < a.size(); ++v) {
    sum += a[v] * b[v];
  }
  return sum;
}

/// P, then the Q: of mean 0 and SD 1 inside a token, Q without their part along P.
std::vector<Texture> textures() {
  std::vector<Texture> all(1 + kTextures);
  Stream stream(7, "textures");
  for (size_t k = 0; k < all.size(); ++k) {
    double mean = 0.0;
    for (double& value : all[k]) {
      value = stream.normal();
      mean += value / static_cast<double>(kTokenVoxels);
    }
    for (double& value : all[k]) {
      value -= mean;
    }
    const double along = k == 0 ? 0.0 : dot(all[k], all[0]) / dot(all[0], all[0]);
    for (size_t v = 0; v < all[k].size(); ++v) {
      all[k][v] -= along * all[0][v];
    }
    const double sd = std::sqrt(dot(all[k], all[k]) / static_cast<double>(kTokenVoxels));
    for (double& value : all[k]) {
      value /= sd;
    }
  }
  return all;
}

/// A field over the tokens of mean near 0 and SD 2: 60 plane waves of 30 mm, more or less.
std::vector<double> smooth_field(Stream& stream) {
  std::vector<double> field(packaged_token_set().cells.size(), 0.0);
  for (int wave = 0; wave < 60; ++wave) {
    const double x = stream.normal(), y = stream.normal(), z = stream.normal();
    const double phase = 2.0 * std::numbers::pi * stream.uniform();
    for (size_t i = 0; i < field.size(); ++i) {
      const TokenCell cell = packaged_token_set().cells[i];
      field[i] += std::cos(x * cell.d + y * cell.h + z * cell.w + phase) / std::sqrt(7.5);
    }
  }
  return field;
}

/// Puts a planted run in the place of a stored one.
void plant(const fs::path& path, const std::vector<Texture>& texture, uint64_t participant, bool patient) {
  const clips::ClipStore store = clips::ClipStore::open(path);
  const std::vector<uint8_t> valid(store.valid().begin(), store.valid().end());
  Stream stream(1, "participant", participant);
  std::vector<double> field = smooth_field(stream);
  for (double& value : field) {
    value += patient ? 0.225 : -0.225;
  }
  std::vector<uint16_t> bold(static_cast<size_t>(store.n_frames() * store.frame_values()));
  for (size_t at = 0, frame = 0; frame < static_cast<size_t>(store.n_frames()); ++frame) {
    Texture common{};
    for (int k = 1; k <= kTextures; ++k) {
      const double amount = stream.normal();
      for (size_t v = 0; v < common.size(); ++v) {
        common[v] += amount * texture[static_cast<size_t>(k)][v];
      }
    }
    for (size_t i = 0, bit = 0; i < field.size(); ++i) {
      for (size_t v = 0; v < common.size(); ++v, ++bit, ++at) {
        const double noise = std::sqrt(3.0) * (stream.uniform() - 0.5);  // SD 0.5
        const bool is_valid = ((valid[bit / 8] >> (bit % 8)) & 1) != 0;
        bold[at] = is_valid
                       ? half_from_float(static_cast<float>(field[i] * texture[0][v] + common[v] + noise))
                       : uint16_t{0};
      }
    }
  }
  const auto metadata = store.metadata();
  clips::write_clip_store(path,
                          {.n_frames = store.n_frames(), .bold = bold, .valid = valid, .metadata = metadata});
}

double auc(const bids::Table& metrics, const std::string& method, const std::string& column = "value") {
  for (size_t r = 0; r < metrics.rows.size(); ++r) {
    if (*metrics.cell(r, "method") == method && *metrics.cell(r, "metric") == "auc" &&
        *metrics.cell(r, "group") == "pretrained=true") {
      return std::stod(*metrics.cell(r, column));
    }
  }
  ADD_FAILURE() << "no AUC of " << method;
  return 0.0;
}

TEST(PretrainingGain, ATinyModelTellsGroupsThatRandomWeightsTellLess) {
  const ToyStudy study(
      {"--subjects", "40", "--form", "mni", "--frames", "40", "--tr", "0.72", "--voxel-mm", "4"},
      {"--stages", "prep"});
  const bids::Table people = bids::read_tsv(study.cohort / "participants.tsv");
  const std::vector<Texture> planted = textures();
  ASSERT_EQ(people.rows.size(), 40u);
  for (size_t r = 0; r < people.rows.size(); ++r) {
    const std::string& subject = *people.cell(r, "participant_id");
    plant(study.out / subject / "func" /
              (subject + "_task-rest_space-MNI152NLin6Asym_res-slim_desc-slimprep_clips.safetensors"),
          planted, r, *people.cell(r, "group") == "patient");
  }
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"-", study.out, "group", "--stages", "pretrain", "--stage1-epochs", "0"},
        {study.cohort, study.out, "participant", "--stages", "embed", "--model", "tiny"},
        {"-", study.out, "group", "--stages", "evaluate", "--model", "tiny", "--target", "group", "--cv", "5",
         "--include-train"}}) {
    const ProgramResult result = slimbrain(words);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  const bids::Table metrics = bids::read_tsv(study.out / "group_desc-group_metrics.tsv");
  std::cout << "AUC over 32 participants: probe " << auc(metrics, "probe") << ", untrained "
            << auc(metrics, "untrained") << ", permuted " << auc(metrics, "permuted") << "\n";
  EXPECT_GE(auc(metrics, "probe"), 0.9);
  EXPECT_GT(auc(metrics, "probe"), auc(metrics, "untrained"));
  EXPECT_LE(auc(metrics, "permuted", "ci_low"), 0.5);
  EXPECT_GE(auc(metrics, "permuted", "ci_high"), 0.5);
}

}  // namespace
}  // namespace slim::test
