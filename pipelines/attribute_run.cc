// SPDX-License-Identifier: Apache-2.0
#include "pipelines/attribute_run.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/seed.h"
#include "pipelines/saliency_map.h"

namespace slim::pipelines {
namespace {

constexpr int kSanitySeeds = 3;

/// At most `most` of `n` clips, evenly spaced.
std::vector<size_t> evenly_spaced(size_t n, int64_t most) {
  const size_t count = std::min(n, static_cast<size_t>(most));
  std::vector<size_t> chosen;
  for (size_t j = 0; j < count; ++j) {
    chosen.push_back((2 * j + 1) * n / (2 * count));
  }
  return chosen;
}

ClipShare share_of(const model::Attribution& found, size_t clip, const clips::ClipFrames& windows) {
  ClipShare share{.clip = clip,
                  .at_clip = found.at_clip,
                  .at_baseline = found.at_baseline,
                  .sum = found.sum,
                  .sum_abs = found.sum_abs,
                  .residual = found.residual(),
                  .steps = found.steps,
                  .window_sums = {},
                  .window_abs_sums = {}};
  int64_t frame = 0;
  for (const clips::Window& window : windows) {
    const at::Tensor part = found.values.narrow(0, frame, window.last - window.first);
    share.window_sums.push_back(part.sum(at::kDouble).item<double>());
    share.window_abs_sums.push_back(part.abs().sum(at::kDouble).item<double>());
    frame += window.last - window.first;
  }
  return share;
}

/// The baseline in every frame of a clip, 0 where the run has no value; undefined for 0.
at::Tensor baseline_clip(const at::Tensor& clip, const clips::ClipStore& store, std::vector<float> frame) {
  if (frame.empty()) {
    return {};
  }
  for (size_t v = 0; v < frame.size(); ++v) {
    frame[v] *= static_cast<float>((store.valid()[v / 8] >> (v % 8)) & 1U);
  }
  return at::from_blob(frame.data(), clip.sizes().slice(1), at::kFloat)
      .to(clip.device(), at::kFloat, /*non_blocking=*/false, /*copy=*/true)
      .expand_as(clip);
}

model::Attribution attribute_clip(const model::ClipScalar& scalar, const at::Tensor& clip,
                                  const at::Tensor& baseline, const AttributionSettings& settings,
                                  int64_t at_once, const Taken& watch) {
  if (!settings.path) {
    model::Attribution found = model::gradient_times_input(scalar, clip);
    watch(1, 1);
    return found;
  }
  return model::integrated_gradients(scalar, clip,
                                     {.steps = settings.steps,
                                      .most_steps = settings.most_steps,
                                      .complete = kComplete,
                                      .at_once = at_once,
                                      .baseline = baseline,
                                      .watch = watch});
}

RunAttribution attribute_with(const model::HieraEncoder& encoder, const LoadedModel& model,
                              const model::FeatureScalar& what, const RunClips& clips,
                              const AttributionSettings& settings, const std::atomic<bool>& stop,
                              const Taken& progress) {
  const model::ClipScalar scalar = model::scalar_of_clips(encoder, {.background = model.background}, what);
  const std::vector<size_t> chosen = evenly_spaced(clips.chosen.size(), settings.most_clips);
  RunAttribution run{.map = std::vector<double>(static_cast<size_t>(clips.store.frame_values()), 0.0),
                     .clips = {}};
  for (size_t i = 0; i < chosen.size(); ++i) {
    const clips::ClipFrames& frames = clips.chosen[chosen[i]];
    const at::Tensor clip = read_clips(clips.store, std::span(&frames, 1))[0].to(model.device, at::kFloat);
    const auto watch = [&](int64_t done, int64_t total) {
      progress(static_cast<int64_t>(i) * total + done, static_cast<int64_t>(chosen.size()) * total);
      if (stop) {
        throw Error(message::kStopped, "Stopped between two gradients.");
      }
    };
    const model::Attribution found = attribute_clip(
        scalar, clip, baseline_clip(clip, clips.store, settings.baseline), settings, model.batch, watch);
    if (!std::isfinite(found.sum_abs) || !std::isfinite(found.at_clip)) {
      throw Error(
          message::kUnfitModel, "The gradients of this run are not finite.",
          {.file = model.folder.path.string(), .remedy = "check the weights with slimbrain-model inspect"});
    }
    const at::Tensor over_frames = found.values.sum(0, false, at::kDouble).contiguous();
    const double* values = over_frames.const_data_ptr<double>();
    for (size_t v = 0; v < run.map.size(); ++v) {
      run.map[v] += values[v] / static_cast<double>(chosen.size());
    }
    run.clips.push_back(share_of(found, chosen[i], frames));
    run.worst_residual = std::max(run.worst_residual, run.clips.back().residual);
  }
  return run;
}

}  // namespace

Explained explained_by(const Head& head, int64_t chosen_class) {
  const auto width = static_cast<size_t>(head.width);
  const auto row = [&](size_t output) { return std::span(head.weight).subspan(output * width, width); };
  const std::vector<std::string>& classes = head.target.classes;
  if (classes.empty()) {
    return {.scalar = {.weights = head.weight, .offset = head.bias[0]},
            .function = "standardised " + head.target.name,
            .class_name = "",
            .units = "standard deviations of " + head.target.name + " in the training split"};
  }
  const auto c = static_cast<size_t>(chosen_class);
  std::vector<double> weights(width);
  double offset = 0.0;
  for (size_t output = 0; output < classes.size(); ++output) {
    const double factor = output == c ? 1.0 : -1.0 / static_cast<double>(classes.size() - 1);
    for (size_t i = 0; i < width; ++i) {
      weights[i] += factor * static_cast<double>(row(output)[i]);
    }
    offset += factor * head.bias[output];
  }
  return {.scalar = {.weights = {weights.begin(), weights.end()}, .offset = offset},
          .function = "logit of " + classes[c] +
                      (classes.size() == 2 ? " minus logit of " + classes[1 - c]
                                           : std::string(" minus the mean logit of the other classes")),
          .class_name = classes[c],
          .units = "logit"};
}

RunAttribution attribute_run(const LoadedModel& model, const Explained& explained, const RunClips& clips,
                             const AttributionSettings& settings, const std::atomic<bool>& stop,
                             const Taken& progress) {
  return attribute_with(model.encoder, model, explained.scalar, clips, settings, stop, progress);
}

std::vector<SanityStep> sanity_of(const LoadedModel& model, const RunAttribution& trained,
                                  const RunClips& clips, AttributionSettings settings,
                                  const std::atomic<bool>& stop, const Taken& progress) {
  const std::vector<std::string> names{"head and stages 3, 2, 1, 0 with the embedding",
                                       "head and stages 3, 2, 1", "head and stages 3, 2", "head and stage 3",
                                       "head"};
  std::vector<SanityStep> steps;
  const int64_t rounds = kSanitySeeds * static_cast<int64_t>(names.size());
  int64_t round = 0;
  settings.most_steps = settings.steps;  // random weights make a rough path, and only ranks are compared
  for (int stage = 4; stage >= 0; --stage) {
    SanityStep step{.randomised = names[static_cast<size_t>(stage)]};
    for (uint64_t seed = 1; seed <= kSanitySeeds; ++seed, ++round) {
      model::FeatureScalar head;
      Stream stream(seed, "saliency_sanity");
      for (int64_t i = 0; i < model.folder.config.encoder.width(); ++i) {
        head.weights.push_back(static_cast<float>(stream.normal()));
      }
      const RunAttribution other = attribute_with(
          model::randomised_down_to(model.encoder, stage, seed), model, head, clips, settings, stop,
          [&](int64_t done, int64_t total) { progress(round * total + done, rounds * total); });
      step.correlation += rank_correlation_of_abs(trained.map, other.map, clips.store.valid()) / kSanitySeeds;
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace slim::pipelines
