// SPDX-License-Identifier: Apache-2.0
#include "pipelines/untrained_features.h"

#include <charconv>

#include "bids/fingerprint.h"
#include "core/error.h"
#include "core/sha256.h"
#include "core/slim_grid.h"
#include "model/device/device.h"
#include "model/initialise.h"
#include "pipelines/kept_features.h"
#include "pipelines/loaded_model.h"

namespace slim::pipelines {
namespace {

constexpr uint64_t kSeed = 1;

/// The frames of a clip from the text of an embedding table ("0-4,35-39"). Error SB2003 for another text.
clips::ClipFrames frames_from(const std::string& text) {
  clips::ClipFrames clip;
  int64_t total = 0;
  const char *next = text.data(), *end = next + text.size();
  while (next < end) {
    clips::Window window;
    const auto first = std::from_chars(next, end, window.first);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') {
      break;
    }
    const auto last = std::from_chars(first.ptr + 1, end, window.last);
    if (last.ec != std::errc() || window.last < window.first) {
      break;
    }
    ++window.last;
    total += window.last - window.first;
    clip.push_back(window);
    next = last.ptr < end && *last.ptr == ',' ? last.ptr + 1 : last.ptr;
  }
  if (next != end || total != kClipFrames) {
    throw Error(message::kBadTable, "The frames of a clip in a table of embeddings are none.",
                {.expected = "40 frames as first-last,first-last,...", .found = text});
  }
  return clip;
}

LoadedModel untrained_model(const GroupJob& job, const model::ModelFolder& folder,
                            const std::string& background) {
  const at::Device device(model::resolve_device(job.config.resources.device).name);
  const at::ScalarType dtype = precision_of(job.config.resources.precision, device);
  model::HieraEncoder encoder(folder.config.encoder);
  model::init_parameters(encoder, kSeed);
  encoder->eval();
  encoder->to(device, dtype);
  return {.folder = folder,
          .encoder = std::move(encoder),
          .background = model::background_from(background),
          .device = device,
          .dtype = dtype,
          .batch = job.config.resources.batch_size.value_or(device.is_cuda() ? 16 : 1),
          .ranking = {}};
}

/// SHA-256 over what every run's features depend on.
std::string hash_of(const LoadedModel& model) {
  Sha256 hash;
  for (const at::Tensor& parameter : model.encoder->parameters()) {
    const at::Tensor values = parameter.detach().to(at::kCPU, at::kFloat).contiguous();
    hash.update(
        std::as_bytes(std::span(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()))));
  }
  return hash.hex() + "|" + model.device.str() + "|" + std::string(c10::toString(model.dtype)) + "|" +
         std::string(model::name_of(model.background));
}

}  // namespace

EmbeddingFeatures untrained_features(const GroupJob& job, const model::ModelFolder& folder,
                                     const EmbeddingFeatures& trained) {
  model::settle_cpu(job.threads);
  const LoadedModel model = untrained_model(job, folder, trained.background);
  EmbeddingFeatures features{.columns = trained.columns,
                             .ranker = trained.ranker,
                             .background = trained.background,
                             .run_of = trained.run_of,
                             .frames = trained.frames,
                             .values = {}};
  const KeptFeatures kept(job.out_dir / ".slimbrain" / "untrained", trained.columns);
  const std::string model_hash = hash_of(model);
  Progress progress(job.log, job.progress, "evaluate");
  for (size_t first = 0; first < trained.run_of.size();) {
    const StoredRun& run = *trained.run_of[first];
    std::vector<clips::ClipFrames> chosen;
    std::string key = model_hash + "|" + bids::input_fingerprint(run.root / run.store);
    for (size_t clip = first; clip < trained.run_of.size() && trained.run_of[clip] == &run; ++clip) {
      chosen.push_back(frames_from(trained.frames[clip]));
      key += "|" + trained.frames[clip];
    }
    std::optional<FeatureRows> rows = kept.find(key, chosen.size());
    if (!rows) {
      const clips::ClipStore store = clips::ClipStore::open(run.root / run.store);
      rows = features_of(model, store, chosen, job.stop, [&](int64_t done, int64_t) {
        progress.show(static_cast<int64_t>(first) + done, trained.clips(),
                      "clips through an untrained encoder");
      });
      kept.keep(key, *rows);
    }
    for (const std::vector<float>& row : *rows) {
      features.values.insert(features.values.end(), row.begin(), row.end());
    }
    first += chosen.size();
  }
  return features;
}

}  // namespace slim::pipelines
