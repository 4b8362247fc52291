// SPDX-License-Identifier: Apache-2.0
#include "model/global_mae_options.h"

#include <algorithm>
#include <string>

#include "core/error.h"

namespace slim::model {

GlobalMaeOptions global_mae_preset(std::string_view name, int64_t rois, int64_t window_frames) {
  if (name == "base") {
    return {.rois = rois, .window_frames = window_frames};
  }
  if (name == "tiny") {
    return {.width = 64, .depth = 2, .heads = 2, .rois = rois, .window_frames = window_frames};
  }
  throw Error(message::kBadValue, "There is no preset \"" + std::string(name) + "\".",
              {.expected = "tiny or base"});
}

std::vector<TensorSpec> global_mae_tensors(const GlobalMaeOptions& options) {
  std::vector<TensorSpec> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors.push_back({std::string(kGlobalMaePrefix) + name, DType::F32, std::move(shape)});
  };
  const auto linear = [&](const std::string& name, int64_t in, int64_t out) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".weight", {options.width});
    add(name + ".bias", {options.width});
  };
  const int64_t width = options.width, hidden = options.mlp_ratio * width;
  for (int64_t i = 0; i < options.depth; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    norm(block + "norm1");
    linear(block + "attn.qkv", width, 3 * width);
    linear(block + "attn.proj", width, width);
    norm(block + "norm2");
    linear(block + "mlp.fc1", width, hidden);
    linear(block + "mlp.fc2", hidden, width);
  }
  linear("patch_embed", options.patch(), width);
  linear("decoder", width, options.patch());
  norm("norm");
  add("mask_token", {1, 1, width});
  add("pos_embed_roi", {1, options.groups(), width});
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  return tensors;
}

}  // namespace slim::model
