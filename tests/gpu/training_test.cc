// SPDX-License-Identifier: Apache-2.0
// Training steps on a GPU against the same steps on the CPU.
#include <ATen/ops/cat.h>
#include <ATen/ops/cosine_similarity.h>

#include "gpu.h"
#include "roi_pieces.h"
#include "small_set.h"
#include "train/clip_feed.h"
#include "train/pretraining.h"
#include "train/stage1_training.h"

namespace slim::train {
namespace {

using model::testing::generated;
using model::testing::relative_difference;

class TrainingOnGpu : public slim::testing::OnGpu {};

PretrainingOptions options_of(const std::string& preset, Objective objective = Objective::Jepa) {
  const model::EncoderOptions encoder = model::encoder_preset(preset);
  return {.objective = objective,
          .jepa = {.encoder = encoder, .predictor = model::predictor_preset(preset)},
          .schedule = {.peak = 1e-3, .floor = 1e-5, .steps = 60, .warmup_steps = 5},
          .ema = 0.95,
          .verdict = {.width = encoder.width()},
          .seed = 4};
}

at::Tensor brain_clips(int64_t count, const std::string& name) {
  return generated(name, {count, kClipFrames, packaged_token_set().size(), kTokenVoxels}, 1.7).to(at::kHalf);
}

PretrainingBatch batch(const at::Tensor& clips, uint64_t first, at::Device device) {
  PretrainingBatch out{.clips = clips.to(device), .positions = {}};
  for (int64_t i = 0; i < clips.size(0); ++i) {
    out.positions.push_back(first + static_cast<uint64_t>(i));
  }
  return out;
}

at::Tensor flat(const Parameters& parameters) {
  std::vector<at::Tensor> all;
  for (const auto& [key, tensor] : parameters) {
    all.push_back(tensor.detach().cpu().to(at::kDouble).reshape({-1}));
  }
  return at::cat(all);
}

double cosine(const Parameters& a, const Parameters& b) {
  return at::cosine_similarity(flat(a), flat(b), 0).item<double>();
}

TEST_F(TrainingOnGpu, AStepOfEitherObjectiveEqualsTheCpu) {
  for (const Objective objective : {Objective::Jepa, Objective::Mae}) {
    const at::Tensor clips = brain_clips(2, "clips");
    Pretraining here(options_of("tiny", objective)), there(options_of("tiny", objective), gpu);
    here.accumulate(batch(clips, 0, at::kCPU), 0, 0, true);
    there.accumulate(batch(clips, 0, gpu), 0, 0, true);
    const StepReport expected = here.finish_step(), found = there.finish_step();
    EXPECT_NEAR(found.losses.loss, expected.losses.loss, 1e-4 * expected.losses.loss);
    EXPECT_NEAR(found.gradient_norm, expected.gradient_norm, 1e-3 * expected.gradient_norm);
    if (objective == Objective::Jepa) {
      EXPECT_NEAR(found.monitors->effective_rank, expected.monitors->effective_rank, 0.1);
    }
    // The first moments of a first step are its gradients.
    for (const auto& [key, moment] : there.optimiser().first_moments()) {
      EXPECT_LE(relative_difference(moment.cpu(), here.optimiser().first_moments().at(key)), 2e-3) << key;
    }
  }
}

TEST_F(TrainingOnGpu, ABaseStepEqualsTheCpuAndInBfloat16NearlySo) {
  const at::Tensor clips = brain_clips(1, "clips");
  Pretraining here(options_of("base")), there(options_of("base"), gpu),
      coarse(options_of("base"), gpu, at::kBFloat16);
  here.accumulate(batch(clips, 0, at::kCPU), 0, 0, false);
  there.accumulate(batch(clips, 0, gpu), 0, 0, false);
  coarse.accumulate(batch(clips, 0, gpu), 0, 0, false);
  const StepReport expected = here.finish_step(), found = there.finish_step(), rounded = coarse.finish_step();
  EXPECT_NEAR(found.losses.loss, expected.losses.loss, 1e-4 * expected.losses.loss);
  EXPECT_NEAR(found.gradient_norm, expected.gradient_norm, 1e-3 * expected.gradient_norm);
  EXPECT_NEAR(rounded.losses.loss, expected.losses.loss, 2e-2 * expected.losses.loss);
  const Parameters& gradients = here.optimiser().first_moments();
  EXPECT_GT(cosine(there.optimiser().first_moments(), gradients), 1 - 1e-6);
  EXPECT_GT(cosine(coarse.optimiser().first_moments(), gradients), 0.99);
}

TEST_F(TrainingOnGpu, Bfloat16NetworksAreRoundedFloat32Masters) {
  Pretraining training(options_of("tiny"), gpu, at::kBFloat16);
  for (uint64_t step = 0; step < 3; ++step) {
    training.accumulate(batch(brain_clips(1, "a"), 2 * step, gpu), 0, step, false);
    training.accumulate(batch(brain_clips(1, "b"), 2 * step + 1, gpu), 0, step, false);
    EXPECT_TRUE(training.finish_step().finite);
  }
  bool between = false;
  for (const auto& [key, master] : training.optimiser().masters()) {
    ASSERT_EQ(master.scalar_type(), at::kFloat) << key;
    between = between || !master.equal(master.to(at::kBFloat16).to(at::kFloat));
  }
  EXPECT_TRUE(between) << "masters keep what bfloat16 cannot";
}

TEST_F(TrainingOnGpu, TheLossFallsAsOnTheCpu) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    PretrainingOptions options = options_of("tiny");
    options.jepa.tokens = &model::testing::small_set();
    options.regions.time_blocks = {2, 2};
    Pretraining here(options), there(options, gpu, type);
    const at::Tensor clips = model::testing::small_clips(2).to(at::kHalf);
    double first = 0, on_cpu = 0, on_gpu = 0;
    for (uint64_t step = 0; step < 60; ++step) {
      here.accumulate(batch(clips, 0, at::kCPU), 0, 0, false);
      there.accumulate(batch(clips, 0, gpu), 0, 0, false);
      on_cpu = here.finish_step().losses.loss;
      on_gpu = there.finish_step().losses.loss;
      first = step == 0 ? on_gpu : first;
    }
    EXPECT_LT(on_gpu, 0.8 * first);
    EXPECT_NEAR(on_gpu, on_cpu, (type == at::kFloat ? 0.05 : 0.15) * on_cpu);
  }
}

TEST_F(TrainingOnGpu, AStepOfStageOneEqualsTheCpu) {
  const Stage1Options options{.network = model::global_mae_preset("tiny", 40),
                              .schedule = {.peak = 2e-3, .floor = 1e-5, .steps = 10},
                              .seed = 3};
  // Pieces of different lengths: the shorter ones have masked keys.
  const model::testing::Matrix one = model::testing::generated_matrix("one", 40, 60),
                               two = model::testing::generated_matrix("two", 40, 40);
  const std::vector<model::RoiPiece> pieces{one.whole(), two.whole()};
  Stage1Training here(options), there(options, gpu);
  here.accumulate(pieces, 0, 0);
  there.accumulate(pieces, 0, 0);
  const Stage1Report expected = here.finish_step(), found = there.finish_step();
  EXPECT_NEAR(found.losses.loss, expected.losses.loss, 1e-4 * expected.losses.loss);
  EXPECT_NEAR(found.gradient_norm, expected.gradient_norm, 1e-3 * expected.gradient_norm);
}

/// Clips whose values tell run and place.
class CountingReader : public ClipReader {
 public:
  int64_t frame_values() const override { return 4472 * 64; }
  void read(int64_t run, const clips::ClipFrames&, std::span<uint16_t> out) override {
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<uint16_t>((static_cast<size_t>(run) * 31 + i) & 0x3fffU);
    }
  }
  void read_valid(int64_t, std::span<uint8_t>) override {}
};

TEST_F(TrainingOnGpu, ClipsArriveWholeWhileTheDeviceComputes) {
  std::vector<Sample> samples;
  for (int64_t run = 0; run < 24; ++run) {
    samples.push_back({.run = run, .frames = {{0, 40}}, .position = static_cast<uint64_t>(run)});
  }
  ClipFeed feed(std::make_unique<CountingReader>(), one_pass(samples, 2), {.threads = 2, .clips_at_once = 2},
                gpu);
  const at::Tensor product = at::ones({4096, 4096}, at::TensorOptions(gpu));
  std::vector<at::Tensor> sums;
  while (const std::optional<FedBatch> fed = feed.next()) {
    at::Tensor busy = product;
    for (int i = 0; i < 20; ++i) {
      busy = busy.matmul(product) * 1e-4;
    }
    for (int64_t clip = 0; clip < fed->clips.size(0); ++clip) {
      sums.push_back(fed->clips[clip].view(at::kShort).to(at::kDouble).sum() + 0.0 * busy.sum());
    }
    feed.fetch_ahead();
  }
  ASSERT_EQ(sums.size(), 24U);
  for (size_t run = 0; run < sums.size(); ++run) {
    double expected = 0;
    for (size_t i = 0; i < 40 * 4472 * 64; ++i) {
      expected += static_cast<double>((run * 31 + i) & 0x3fffU);
    }
    EXPECT_EQ(sums[run].item<double>(), expected) << "run " << run;
  }
}

}  // namespace
}  // namespace slim::train
