// SPDX-License-Identifier: Apache-2.0
#include "model/jepa.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "core/error.h"
#include "model/stage2_mae.h"
#include "small_set.h"

namespace slim::model {
namespace {

using testing::generated;
using testing::relative_difference;
using testing::small_clips;
using testing::small_set;

JepaOptions small_options() {
  return {.encoder = encoder_preset("tiny"), .predictor = predictor_preset("tiny"), .tokens = &small_set()};
}

std::vector<Regions> small_regions(int64_t n) {
  std::vector<Regions> regions;
  for (int64_t i = 0; i < n; ++i) {
    regions.push_back(
        draw_regions({}, 2, existing_locations({.tokens = &small_set()}), 3, 1, static_cast<uint64_t>(i)));
  }
  return regions;
}

TEST(Regions, RefuseASingleLocationAndUnknownWords) {
  EXPECT_THROW(draw_regions({}, 2, {4}, 0, 0, 0), Error);
  EXPECT_THROW(draw_regions({}, 5, {4, 5}, 0, 0, 0), Error);
  EXPECT_THROW(context_shape_from("round"), Error);
  EXPECT_THROW(target_input_from("all"), Error);
  EXPECT_THROW(row_loss_from("l2"), Error);
  EXPECT_THROW(mae_frames_from("none"), Error);
  EXPECT_THROW(predictor_preset("huge"), Error);
  JepaOptions options = small_options();
  options.region_weights = {0, 0, 0};
  EXPECT_THROW(Jepa(options, 0), Error);
  options.region_weights = {1, -1, 1};
  EXPECT_THROW(Jepa(options, 0), Error);
}

/// Loss and gradients of one JEPA micro-batch.
std::pair<at::Tensor, Parameters> loss_and_gradients(const JepaOptions& options, const at::Tensor& clips,
                                                     const std::vector<Regions>& regions) {
  const Jepa jepa(options, 11);
  const JepaOutput output = jepa.forward(clips, regions);
  output.loss_sum.backward();
  Parameters gradients;
  for (const auto& [key, parameter] : jepa.online_parameters()) {
    gradients[key] = parameter.grad().defined() ? parameter.grad() : at::Tensor();
  }
  return {output.loss_sum.detach(), gradients};
}

TEST(Recompute, EqualsThePlainPassBitForBit) {
  JepaOptions options = small_options();
  const auto [loss, gradients] = loss_and_gradients(options, small_clips(2), small_regions(2));
  options.recompute = true;
  const auto [loss_again, gradients_again] = loss_and_gradients(options, small_clips(2), small_regions(2));
  EXPECT_TRUE(at::equal(loss, loss_again));
  for (const auto& [key, gradient] : gradients) {
    ASSERT_TRUE(gradient.defined() && gradients_again.at(key).defined()) << key;
    EXPECT_TRUE(at::equal(gradient, gradients_again.at(key))) << key;
  }
}

TEST(Jepa, TargetStartsAsACopyAndGetsNoGradient) {
  const Jepa jepa(small_options(), 7);
  const Parameters online = jepa.online_parameters();
  for (const auto& [key, parameter] : jepa.target_parameters()) {
    EXPECT_TRUE(at::equal(parameter, online.at(key))) << key;
  }
  jepa.forward(small_clips(2), small_regions(2)).loss_sum.backward();
  for (const auto& [key, parameter] : jepa.target_parameters()) {
    EXPECT_FALSE(parameter.requires_grad()) << key;
    EXPECT_FALSE(parameter.grad().defined()) << key;
  }
  for (const auto& [key, parameter] : online) {
    EXPECT_TRUE(parameter.grad().defined()) << key;
  }
}

/// The loss by loops over rows, from the rows that the pass itself reports.
double loss_by_loop(const JepaOutput& output, const std::vector<Regions>& regions,
                    const JepaOptions& options) {
  std::vector<std::array<double, 3>> sums(regions.size()), counts(regions.size());
  const at::Tensor a = (output.predictions - output.targets).to(at::kDouble).abs().contiguous();
  for (size_t row = 0; row < output.target_cells.size(); ++row) {
    const RowCell& cell = output.target_cells[row];
    const int64_t unit = 27 * (cell.t / 2) + 9 * (cell.d / 2) + 3 * (cell.h / 2) + cell.w / 2;
    for (size_t region = 0; region < 3; ++region) {
      const auto& units = regions[static_cast<size_t>(cell.clip)].targets[region];
      if (std::find(units.begin(), units.end(), unit) == units.end()) {
        continue;
      }
      double sum = 0;
      for (int64_t c = 0; c < a.size(1); ++c) {
        const double x = a.const_data_ptr<double>()[static_cast<int64_t>(row) * a.size(1) + c];
        sum += options.loss == RowLoss::Mse ? x * x : x < 1 ? x * x / 2 : x - 0.5;
      }
      sums[static_cast<size_t>(cell.clip)][region] += sum / static_cast<double>(a.size(1));
      counts[static_cast<size_t>(cell.clip)][region] += 1;
    }
  }
  double loss = 0, divisor = 0;
  for (size_t clip = 0; clip < regions.size(); ++clip) {
    double of_clip = 0, weight = 0;
    for (size_t region = 0; region < 3; ++region) {
      const double w = options.region_weights[region];
      if (options.balance_regions && w > 0) {
        of_clip += w * sums[clip][region] / counts[clip][region];
        weight += w;
      } else if (!options.balance_regions) {
        loss += w * sums[clip][region];
        divisor += w * counts[clip][region];
      }
    }
    if (options.balance_regions) {
      loss += of_clip / weight;
      divisor += 1;
    }
  }
  return loss / divisor;
}

TEST(Jepa, LossEqualsALoopForEveryChoice) {
  const at::NoGradGuard no_gradient;
  const std::vector<Regions> regions = small_regions(3);
  for (const RowLoss loss : {RowLoss::SmoothL1, RowLoss::Mse}) {
    for (const bool balance : {false, true}) {
      for (const auto& weights : {std::array<double, 3>{1, 1, 1}, {1, 0, 2}, {0, 0, 1}}) {
        JepaOptions options = small_options();
        options.loss = loss;
        options.balance_regions = balance;
        options.region_weights = weights;
        const JepaOutput output = Jepa(options, 5).forward(small_clips(3), regions);
        const double expected = loss_by_loop(output, regions, options);
        EXPECT_NEAR(output.loss(), expected, 1e-5 * expected);
        for (int64_t region = 0; region < 3; ++region) {
          const bool off = weights[static_cast<size_t>(region)] == 0;
          EXPECT_EQ(output.region_means.select(1, region).isnan().all().item<bool>(), off);
          EXPECT_EQ(output.region_rows[static_cast<size_t>(region)] == 0, off);
        }
      }
    }
  }
}

TEST(Jepa, MicroBatchesAddUpToTheBatch) {
  for (const bool balance : {false, true}) {
    JepaOptions options = small_options();
    options.balance_regions = balance;
    const std::vector<Regions> regions = small_regions(3);
    const Jepa jepa(options, 5);
    const at::NoGradGuard no_gradient;
    const JepaOutput whole = jepa.forward(small_clips(3), regions);
    const JepaOutput first = jepa.forward(small_clips(3).narrow(0, 0, 2), {regions[0], regions[1]});
    const JepaOutput second = jepa.forward(small_clips(3).narrow(0, 2, 1), {regions[2]});
    EXPECT_NEAR(whole.divisor, first.divisor + second.divisor, 1e-9);
    EXPECT_LE(relative_difference(whole.loss_sum, first.loss_sum + second.loss_sum), 1e-5);
    EXPECT_LE(relative_difference(whole.region_sums, first.region_sums + second.region_sums), 1e-5);
  }
}

TEST(Jepa, OneFullTargetServesSeveralMasks) {
  JepaOptions options = small_options();
  const std::vector<Regions> regions = small_regions(4);
  const at::Tensor clips = small_clips(2);
  const at::NoGradGuard no_gradient;
  for (const TargetInput input : {TargetInput::Full, TargetInput::Targets}) {
    options.target_input = input;
    const Jepa jepa(options, 5);
    const JepaOutput shared = jepa.forward(clips, regions);
    const JepaOutput repeated = jepa.forward(clips.repeat_interleave(2, 0), regions);
    EXPECT_LE(relative_difference(shared.targets, repeated.targets), 1e-5);
    EXPECT_LE(relative_difference(shared.loss_sum, repeated.loss_sum), 1e-5);
  }
  EXPECT_THROW(Jepa(options, 5).forward(clips, small_regions(3)), Error);
}

TEST(Jepa, TargetsSeeOnlyTargetsAndFullSeesAll) {
  const std::vector<Regions> regions = small_regions(1);
  // Another value in the context alone.
  at::Tensor clip = small_clips(1), changed = clip.clone();
  const int64_t unit = regions[0].context[0];
  for (int64_t i = 0; i < small_set().size(); ++i) {
    if (small_set().cells[static_cast<size_t>(i)].location() == unit % 27) {
      changed.select(0, 0).narrow(0, unit / 27 * 8, 8).select(1, i).add_(1.0);
    }
  }
  const at::NoGradGuard no_gradient;
  JepaOptions options = small_options();
  const Jepa seen(options, 5);
  EXPECT_TRUE(at::equal(seen.forward(clip, regions).targets, seen.forward(changed, regions).targets));
  EXPECT_FALSE(
      at::equal(seen.forward(clip, regions).predictions, seen.forward(changed, regions).predictions));
  options.target_input = TargetInput::Full;
  const Jepa full(options, 5);
  EXPECT_FALSE(at::equal(full.forward(clip, regions).targets, full.forward(changed, regions).targets));
}

TEST(Jepa, StartIsDrawnByKeyAndMaskTokensAreNotZero) {
  const Jepa one(small_options(), 3), other(small_options(), 4);
  EXPECT_FALSE(at::equal(one.predictor->mask_token, other.predictor->mask_token));
  const double sd = one.predictor->decoder_pos_embed.std().item<double>();
  EXPECT_NEAR(sd, 0.02, 0.002);
  EXPECT_NEAR(one.predictor->mask_token.std().item<double>(), 0.02, 0.008);
}

TEST(Mae, LossEqualsALoopOverTheDenseClip) {
  for (const MaeFrames frames : {MaeFrames::All, MaeFrames::First}) {
    const Stage2Mae mae({.encoder = encoder_preset("tiny"),
                         .decoder = predictor_preset("tiny"),
                         .tokens = &small_set(),
                         .frames = frames},
                        9);
    const at::Tensor clips = small_clips(1);
    const std::vector<int64_t> visible{0, 28, 126};
    const at::Tensor valid = generated("valid", {1, small_set().size(), kTokenVoxels}, 1.0) > 0;
    // With weights 0, the decoder's bias is its answer: value (dt, dx, dy, dz) of every cell.
    const at::NoGradGuard no_gradient;
    mae.decoder->decoder_pred->weight.zero_();
    mae.decoder->decoder_pred->bias.copy_(generated("answer", {mae_output(frames)}, 1.0));
    const Stage2MaeOutput output = mae.forward(clips, valid, {visible});
    const int64_t kept = frames == MaeFrames::All ? 4 : 1;
    const at::Tensor flat = clips.contiguous();
    const float* const x = flat.const_data_ptr<float>();
    const float* const answer = mae.decoder->decoder_pred->bias.const_data_ptr<float>();
    const bool* const m = valid.const_data_ptr<bool>();
    double sum = 0, count = 0;
    for (int64_t t = 0; t < kClipFrames; ++t) {
      for (int64_t i = 0; i < small_set().size(); ++i) {
        const TokenCell cell = small_set().cells[static_cast<size_t>(i)];
        if (std::find(visible.begin(), visible.end(), t / 8 * 27 + cell.location()) != visible.end() ||
            t % 4 >= kept) {
          continue;
        }
        for (int64_t v = 0; v < kTokenVoxels; ++v) {
          const int64_t dx = cell.d % 4 * 4 + v / 16, dy = cell.h % 4 * 4 + v / 4 % 4,
                        dz = cell.w % 4 * 4 + v % 4;
          const double difference =
              answer[((t % 4 * 16 + dx) * 16 + dy) * 16 + dz] - x[(t * small_set().size() + i) * 64 + v];
          sum += m[i * 64 + v] ? difference * difference : 0.0;
          count += m[i * 64 + v] ? 1.0 : 0.0;
        }
      }
    }
    EXPECT_EQ(output.divisor.item<double>(), count);
    EXPECT_NEAR(output.loss(), sum / count, 1e-5 * sum / count);
  }
}

}  // namespace
}  // namespace slim::model
