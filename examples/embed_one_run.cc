// SPDX-License-Identifier: Apache-2.0
// embed_one_run STORE MODEL: the library without the program. Prints the feature of a run (the mean over its
// clips), one number a line; `slimbrain ... participant --stages embed` writes the same numbers into a BIDS
// derivative.
#include <ATen/Functions.h>
#include <c10/core/InferenceMode.h>

#include <cstdio>
#include <exception>
#include <string>

#include "clips/clip_store.h"
#include "clips/window.h"
#include "core/error.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/model_tool.h"
#include "model/load_encoder.h"

namespace {

/// Reads the frames of a clip: [1, 40, tokens, 64], float16.
at::Tensor read_clip(const slim::clips::ClipStore& store, const slim::clips::ClipFrames& clip) {
  const int64_t values = store.frame_values();
  at::Tensor result =
      at::empty({1, slim::kClipFrames, values / slim::kTokenVoxels, slim::kTokenVoxels}, at::kHalf);
  auto* out = reinterpret_cast<uint16_t*>(result.data_ptr());
  for (const slim::clips::Window& window : clip) {
    const int64_t count = window.last - window.first;
    store.read_frames(window.first, count, {out, static_cast<size_t>(count * values)});
    out += count * values;
  }
  return result;
}

void embed(const char* store_path, const char* model_path) {
  const c10::InferenceMode inference;
  const auto store = slim::clips::ClipStore::open(store_path);
  const slim::model::ModelFolder folder = slim::model::open_model(model_path);
  const slim::model::HieraEncoder encoder = slim::model::load_encoder(folder);
  const slim::model::TokenLayout layout(
      {.background = slim::model::background_from(folder.config.background)});
  if (const std::string note = slim::model::untrained_note(folder.card); !note.empty()) {
    std::fprintf(stderr, "%s\n", note.c_str());
  }

  const auto clips = slim::clips::select_clips(store.n_frames(), "all");
  if (clips.empty()) {
    throw slim::Error(slim::message::kTooShort, "The run is shorter than one clip of 40 frames.",
                      {.file = store_path});
  }
  at::Tensor sum = at::zeros({folder.config.encoder.width()}, at::kDouble);
  for (const slim::clips::ClipFrames& clip : clips) {
    sum += encoder->forward(read_clip(store, clip), layout).pooled[0];
  }
  const at::Tensor feature = sum / static_cast<double>(clips.size());
  for (int64_t i = 0; i < feature.size(0); ++i) {
    std::printf("%.9g\n", feature[i].item<double>());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: embed_one_run STORE_clips.safetensors MODEL\n");
    return 64;
  }
  try {
    embed(argv[1], argv[2]);
    return 0;
  } catch (const slim::Error& error) {
    std::fprintf(stderr, "embed_one_run: error %s\n", error.what());
    return static_cast<int>(error.fault());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "embed_one_run: %s\n", error.what());
    return 70;
  }
}
