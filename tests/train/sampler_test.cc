// SPDX-License-Identifier: Apache-2.0
#include "train/sampler.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

#include "clips/ranking.h"
#include "core/error.h"
#include "core/seed.h"

namespace slim::train {
namespace {

std::vector<SampledRun> runs_of(const std::vector<int64_t>& lengths) {
  std::vector<SampledRun> runs;
  for (const int64_t n : lengths) {
    runs.push_back({n, clips::clips_of(clips::rank_pieces(n, {.ranker = clips::Ranker::Uniform}))});
  }
  return runs;
}

template <class Work>
std::string code_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return {};
}

std::vector<Sample> epoch_of(const Sampler& sampler, uint64_t epoch) {
  std::vector<Sample> samples;
  for (int64_t s = 0; s < sampler.steps_per_epoch(); ++s) {
    for (const Sample& sample : sampler.step(epoch, s)) {
      samples.push_back(sample);
    }
  }
  return samples;
}

TEST(Sampler, AnEpochVisitsEachRunOncePerPieceUnderEverySource) {
  for (const ClipSource source : {ClipSource::Selected, ClipSource::Random, ClipSource::Mixed}) {
    const Sampler sampler(runs_of({80, 1200, 39, 40, 401}),
                          {.source = source, .seed = 3, .clips_per_step = 4});
    EXPECT_EQ(sampler.clips_per_epoch(), 1 + 6 + 0 + 1 + 2);
    std::map<int64_t, int> visits;
    for (const Sample& sample : epoch_of(sampler, 2)) {
      ++visits[sample.run];
    }
    EXPECT_EQ(visits, (std::map<int64_t, int>{{0, 1}, {1, 6}, {3, 1}, {4, 2}}));
  }
}

TEST(Sampler, SelectedClipsComeOnceEachAndRandomOnesAreFortyFramesInsideTheRun) {
  const std::vector<SampledRun> runs = runs_of({1200, 410});
  const Sampler selected(runs, {.seed = 3, .clips_per_step = 3});
  std::set<std::string> seen, given;
  for (const Sample& sample : epoch_of(selected, 0)) {
    seen.insert(std::to_string(sample.run) + ":" + clips::describe(sample.frames));
  }
  for (size_t r = 0; r < runs.size(); ++r) {
    for (const clips::ClipFrames& clip : runs[r].selected) {
      given.insert(std::to_string(r) + ":" + clips::describe(clip));
    }
  }
  EXPECT_EQ(seen, given);
  const Sampler random(runs_of({40, 60}), {.source = ClipSource::Random, .seed = 3});
  std::set<int64_t> starts;
  for (uint64_t epoch = 0; epoch < 400; ++epoch) {
    for (const Sample& sample : epoch_of(random, epoch)) {
      ASSERT_EQ(sample.frames.size(), 1u);
      EXPECT_EQ(sample.frames[0].last - sample.frames[0].first, 40);
      EXPECT_GE(sample.frames[0].first, 0);
      EXPECT_LE(sample.frames[0].last, sample.run == 0 ? 40 : 60);
      if (sample.run == 1) {
        starts.insert(sample.frames[0].first);
      }
    }
  }
  EXPECT_EQ(starts.size(), 21u);  // every start is possible
}

TEST(Sampler, OrderAndDrawsAreThoseOfTheNamedStreams) {
  const std::vector<SampledRun> runs = runs_of({100, 90, 80, 70, 60, 50, 45});
  const Sampler sampler(runs,
                        {.source = ClipSource::Mixed, .seed = 11, .clips_per_step = 7, .masks_per_clip = 3});
  std::vector<int64_t> order(7);
  std::iota(order.begin(), order.end(), 0);
  Stream shuffle(11, "order", 5);
  for (size_t i = 0; i < 7; ++i) {
    std::swap(order[i], order[i + shuffle.bounded(7 - i)]);
  }
  EXPECT_EQ(sampler.order(5), order);
  const std::vector<Sample> samples = sampler.step(5, 0);
  int drawn = 0;
  for (uint64_t p = 0; p < 7; ++p) {
    const Sample& sample = samples[p];
    EXPECT_EQ(sample.run, order[p]);
    EXPECT_EQ(sample.position, p);
    EXPECT_EQ(sample.mask_draw, 3 * p);
    Stream stream(11, "clip", 5, p);
    const SampledRun& run = runs[static_cast<size_t>(sample.run)];
    if (stream.bounded(2) == 0) {
      EXPECT_EQ(sample.frames, run.selected[0]);
    } else {
      const auto first = static_cast<int64_t>(stream.bounded(static_cast<uint64_t>(run.n_frames - 39)));
      EXPECT_EQ(sample.frames, (clips::ClipFrames{{first, first + 40}}));
      ++drawn;
    }
  }
  EXPECT_GT(drawn, 0);
  EXPECT_LT(drawn, 7);
}

TEST(Sampler, AStepIsTheSameWhateverWasAskedBeforeAndEpochsDiffer) {
  const std::vector<SampledRun> runs = runs_of(std::vector<int64_t>(50, 120));
  const SamplerOptions options{.source = ClipSource::Mixed, .seed = 9, .clips_per_step = 8};
  const Sampler one(runs, options), other(runs, options);
  const std::vector<Sample> all = epoch_of(one, 3);
  EXPECT_EQ(other.step(3, 6), std::vector<Sample>(all.begin() + 48, all.end()));  // the leftover step, of 2
  EXPECT_EQ(other.step(3, 2), std::vector<Sample>(all.begin() + 16, all.begin() + 24));
  EXPECT_NE(epoch_of(one, 4), all);
  EXPECT_NE(epoch_of(Sampler(runs, {.source = ClipSource::Mixed, .seed = 10, .clips_per_step = 8}), 3), all);
}

TEST(Sampler, EveryPlaceOfTheOrderIsEquallyLikely) {
  const Sampler sampler(runs_of(std::vector<int64_t>(5, 60)), {.seed = 1, .clips_per_step = 5});
  std::array<std::array<int, 5>, 5> counts{};
  constexpr int kEpochs = 5000;
  for (uint64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<int64_t> order = sampler.order(epoch);
    for (size_t p = 0; p < 5; ++p) {
      ++counts[p][static_cast<size_t>(order[p])];
    }
  }
  for (const auto& row : counts) {
    for (const int count : row) {
      EXPECT_NEAR(count, kEpochs / 5, 150);  // 5 standard deviations are 141
    }
  }
}

TEST(Sampler, ImpossibleRequestsAreRefused) {
  const std::vector<SampledRun> unranked{{500, {}}};
  EXPECT_EQ(code_of([&] { Sampler(unranked, {.source = ClipSource::Selected}); }), "SB4002");
  EXPECT_EQ(code_of([&] { Sampler(unranked, {.source = ClipSource::Mixed}); }), "SB4002");
  EXPECT_EQ(code_of([&] { Sampler(unranked, {.source = ClipSource::Random}); }), "");
  EXPECT_EQ(code_of([&] { Sampler(runs_of({39}), {}); }), "SB3002");
  EXPECT_EQ(code_of([&] { Sampler({}, {}); }), "SB3002");
  EXPECT_EQ(code_of([&] { Sampler(runs_of({80}), {.clips_per_step = 0}); }), "SB1002");
  EXPECT_EQ(code_of([&] { (void)Sampler(runs_of({80}), {}).step(0, 1); }), "SB9001");
  EXPECT_EQ(code_of([] { (void)clip_source_from("chosen"); }), "SB1002");
  for (const char* name : {"selected", "random", "mixed"}) {
    EXPECT_EQ(name_of(clip_source_from(name)), name);
  }
}

TEST(Sampler, ValidationTakesTheRankedClipsOrTheMiddleOfEachPiece) {
  std::vector<SampledRun> runs = runs_of({80, 401});
  runs[1].selected.clear();
  const std::vector<Sample> samples = validation_samples(runs, 2);
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[0].frames, runs[0].selected[0]);
  EXPECT_EQ(samples[1].frames, (clips::ClipFrames{{80, 120}}));
  EXPECT_EQ(samples[2].frames, (clips::ClipFrames{{280, 320}}));  // of [200, 401)
  EXPECT_EQ(samples[2].position, 2u);
  EXPECT_EQ(samples[2].mask_draw, 4u);
}

}  // namespace
}  // namespace slim::train
