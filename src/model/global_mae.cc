// SPDX-License-Identifier: Apache-2.0
#include "model/global_mae.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "core/error.h"
#include "core/sha256.h"
#include "model/checkpoint/init_weights.h"
#include "model/device/attention_backend.h"

namespace slim::model {
namespace {

/// Fixed code of window j: channel 2i sin(j / 10000^(2i/width)), 2i + 1 cos. [windows, width]
at::Tensor time_code(int64_t windows, int64_t width, const at::TensorOptions& like) {
  at::Tensor code = at::empty({windows, width}, at::kDouble);
  auto* out = code.data_ptr<double>();
  for (int64_t j = 0; j < windows; ++j) {
    for (int64_t channel = 0; channel < width; ++channel) {
      const double exponent = static_cast<double>(channel - channel % 2) / static_cast<double>(width);
      const double angle = static_cast<double>(j) / std::pow(10000.0, exponent);
      *out++ = channel % 2 == 0 ? std::sin(angle) : std::cos(angle);
    }
  }
  return code.to(like);
}

/// Writes one piece into the patches and validity of a batch, each [groups, windows, 32, L].
bool cut_piece(const GlobalMaeOptions& options, const RoiPiece& piece, int64_t batch_windows, float* patches,
               float* valid, bool* present) {
  const int64_t length = options.window_frames, windows = piece.frames / length;
  bool any = false;
  for (int64_t roi = 0; roi < options.rois; ++roi) {
    if (piece.valid_rois[static_cast<size_t>(roi)] == 0) {
      continue;
    }
    const int64_t group = roi / options.rois_per_token, inside = roi % options.rois_per_token;
    const float* row = piece.matrix.data() + roi * piece.matrix_frames + piece.first;
    for (int64_t j = 0; j < windows; ++j) {
      const int64_t token = group * batch_windows + j;
      const int64_t at = (token * options.rois_per_token + inside) * length;
      std::copy_n(row + j * length, length, patches + at);
      std::fill_n(valid + at, length, 1.0f);
      present[token] = true;
      any = true;
    }
  }
  return any;
}

/// Moves `count` members, drawn by Fisher-Yates, to the front of a list.
void draw_front(std::vector<int64_t>& list, int64_t count, Stream& stream) {
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    std::swap(list[i], list[i + static_cast<size_t>(stream.bounded(list.size() - i))]);
  }
}

int64_t between_one_and(int64_t most, Stream& stream) {
  return 1 + static_cast<int64_t>(stream.bounded(static_cast<uint64_t>(most)));
}

std::map<std::string, at::Tensor> sorted_parameters(const GlobalMae& network) {
  std::map<std::string, at::Tensor> sorted;
  for (const auto& item : network->named_parameters()) {
    sorted.emplace(std::string(kGlobalMaePrefix) + item.key(), item.value());
  }
  return sorted;
}

}  // namespace

RoiBatch RoiBatch::to(at::Device device, at::ScalarType type) const {
  return {.patches = patches.to(device, type),
          .valid = valid.to(device, type),
          .present = present.to(device),
          .all_present = all_present};
}

RoiBatch make_roi_batch(const GlobalMaeOptions& options, std::span<const RoiPiece> pieces) {
  int64_t windows = 0;
  for (const RoiPiece& piece : pieces) {
    windows = std::max(windows, piece.frames / options.window_frames);
  }
  const auto count = static_cast<int64_t>(pieces.size());
  RoiBatch batch;
  batch.patches = at::zeros({count, options.groups(), windows, options.patch()}, at::kFloat);
  batch.valid = at::zeros_like(batch.patches);
  batch.present = at::zeros({count, options.groups(), windows}, at::kBool);
  for (int64_t i = 0; i < count; ++i) {
    const RoiPiece& piece = pieces[static_cast<size_t>(i)];
    if (static_cast<int64_t>(piece.valid_rois.size()) != options.rois) {
      throw Error(message::kUnfitModel, "The stage-1 weights belong to another parcellation.",
                  {.expected = std::to_string(options.rois) + " regions",
                   .found = std::to_string(piece.valid_rois.size())});
    }
    if (piece.first < 0 || piece.frames < 0 || piece.first + piece.frames > piece.matrix_frames ||
        static_cast<int64_t>(piece.matrix.size()) != options.rois * piece.matrix_frames) {
      throw Error(message::kBug, "A piece lies outside its ROI x time matrix.");
    }
    if (!cut_piece(options, piece, windows, batch.patches[i].data_ptr<float>(),
                   batch.valid[i].data_ptr<float>(), batch.present[i].data_ptr<bool>())) {
      throw Error(message::kBadValues, "No region of the parcellation holds a valid voxel of this run.");
    }
  }
  batch.all_present = batch.present.all().item<bool>();
  return batch;
}

GlobalMaeBlockImpl::GlobalMaeBlockImpl(const GlobalMaeOptions& options)
    : norm1(register_module("norm1", LayerNorm(options.width, options.norm_eps))),
      norm2(register_module("norm2", LayerNorm(options.width, options.norm_eps))),
      attn(register_module("attn", Attention(options.width, options.width))),
      mlp(register_module("mlp", Mlp(options.width, options.mlp_ratio * options.width))),
      heads_(options.heads) {}

at::Tensor GlobalMaeBlockImpl::forward(const at::Tensor& x, const at::Tensor& keys) const {
  const int64_t pieces = x.size(0), tokens = x.size(1), width = x.size(2);
  const at::Tensor qkv = attn->qkv->forward(norm1->forward(x))
                             .view({pieces, tokens, 3, heads_, width / heads_})
                             .permute({2, 0, 3, 1, 4});
  const at::Tensor attended = fused_attention(
      qkv[0], qkv[1], qkv[2], keys.defined() ? std::optional<at::Tensor>(keys) : std::nullopt);
  const at::Tensor y = x + attn->proj->forward(attended.transpose(1, 2).reshape({pieces, tokens, width}));
  return y + mlp->forward(norm2->forward(y));
}

GlobalMaeImpl::GlobalMaeImpl(GlobalMaeOptions options)
    : mask_token(register_parameter("mask_token", at::zeros({1, 1, options.width}))),
      pos_embed_roi(register_parameter("pos_embed_roi", at::zeros({1, options.groups(), options.width}))),
      patch_embed(register_module("patch_embed", Linear(options.patch(), options.width))),
      decoder(register_module("decoder", Linear(options.width, options.patch()))),
      norm(register_module("norm", LayerNorm(options.width, options.norm_eps))),
      options_(options) {
  const auto list = register_module("blocks", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < options_.depth; ++i) {
    blocks.push_back(list->register_module(std::to_string(i), GlobalMaeBlock(options_)));
  }
}

at::Tensor GlobalMaeImpl::forward(const RoiBatch& batch, const at::Tensor& masked) const {
  const int64_t pieces = batch.patches.size(0), groups = batch.patches.size(1),
                windows = batch.patches.size(2);
  const at::Tensor embedded = patch_embed->forward(batch.patches);
  const at::Tensor position = pos_embed_roi.view({1, groups, 1, options_.width}) +
                              time_code(windows, options_.width, embedded.options());
  // Tokens are replaced after the embedding and before the positions, which masked ones keep.
  at::Tensor x =
      at::where(masked.unsqueeze(-1), mask_token.view({1, 1, 1, options_.width}), embedded) + position;
  x = x.view({pieces, groups * windows, options_.width});
  const at::Tensor keys =
      batch.all_present ? at::Tensor() : batch.present.view({pieces, 1, 1, groups * windows});
  for (const GlobalMaeBlock& block : blocks) {
    x = block->forward(x, keys);
  }
  return decoder->forward(norm->forward(x)).view(batch.patches.sizes());
}

double MaskedError::skill() const { return 1.0 - error.item<double>() / zero.item<double>(); }

MaskedError masked_error(const at::Tensor& reconstruction, const RoiBatch& batch, const at::Tensor& masked) {
  const at::Tensor counted = batch.valid * masked.unsqueeze(-1);
  return {.error = ((batch.patches - reconstruction).abs() * counted).sum(),
          .zero = (batch.patches.abs() * counted).sum(),
          .entries = counted.sum()};
}

std::vector<uint8_t> draw_token_mask(std::span<const uint8_t> present, int64_t windows, Stream stream) {
  if (windows < 2) {
    throw Error(message::kBug, "A piece of fewer than two windows cannot be masked.");
  }
  const double coin = stream.uniform();
  std::vector<uint8_t> masked(present.size(), 0);
  if (coin < 0.5) {
    std::vector<int64_t> tokens;
    for (size_t i = 0; i < present.size(); ++i) {
      if (present[i] != 0) {
        tokens.push_back(static_cast<int64_t>(i));
      }
    }
    const auto count = 6 * static_cast<int64_t>(tokens.size()) / 10;
    draw_front(tokens, count, stream);
    for (int64_t i = 0; i < count; ++i) {
      masked[static_cast<size_t>(tokens[static_cast<size_t>(i)])] = 1;
    }
    return masked;
  }
  std::vector<int64_t> order(static_cast<size_t>(windows));
  std::iota(order.begin(), order.end(), int64_t{0});
  const bool few_visible = coin < 0.9;
  const int64_t count =
      between_one_and(few_visible ? windows / 2 : std::max<int64_t>(1, windows / 4), stream);
  draw_front(order, count, stream);
  std::vector<uint8_t> window_masked(static_cast<size_t>(windows), few_visible ? 1 : 0);
  for (int64_t i = 0; i < count; ++i) {
    window_masked[static_cast<size_t>(order[static_cast<size_t>(i)])] ^= 1;
  }
  const auto groups = present.size() / window_masked.size();
  for (size_t i = 0; i < groups * window_masked.size(); ++i) {
    masked[i] = present[i] != 0 && window_masked[i % window_masked.size()] != 0 ? 1 : 0;
  }
  return masked;
}

at::Tensor draw_token_masks(const RoiBatch& batch, uint64_t seed, uint64_t epoch, uint64_t first_position) {
  const at::Tensor present = batch.present.cpu().contiguous();
  const int64_t groups = present.size(1), windows = present.size(2);
  at::Tensor masks = at::zeros({present.size(0), groups, windows}, at::kBool);
  for (int64_t i = 0; i < present.size(0); ++i) {
    // A shorter piece has the windows in which some token exists; they come first.
    const int64_t own = present[i].any(0).sum().item<int64_t>();
    const at::Tensor tokens = present[i].narrow(1, 0, own).to(at::kByte).contiguous();
    const std::span<const uint8_t> flags(tokens.const_data_ptr<uint8_t>(), static_cast<size_t>(groups * own));
    const std::vector<uint8_t> drawn = draw_token_mask(
        flags, own, Stream(seed, "mae_mask", epoch, first_position + static_cast<uint64_t>(i)));
    bool* out = masks[i].data_ptr<bool>();
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t j = 0; j < own; ++j) {
        out[g * windows + j] = drawn[static_cast<size_t>(g * own + j)] != 0;
      }
    }
  }
  return masks;
}

void init_global_mae(GlobalMae& network, uint64_t seed) {
  const at::NoGradGuard no_gradient;
  uint64_t index = 0;
  for (auto& [name, parameter] : sorted_parameters(network)) {
    const TensorSpec spec{name, DType::F32, parameter.sizes().vec()};
    std::vector<float> values = initial_values(spec, seed, index);
    if (name.ends_with("mask_token")) {
      Stream stream(seed, "init", 0, index);
      std::generate(values.begin(), values.end(), [&] { return static_cast<float>(0.02 * stream.normal()); });
    }
    at::Tensor drawn = at::empty(parameter.sizes(), at::kFloat);
    std::copy(values.begin(), values.end(), drawn.data_ptr<float>());
    parameter.copy_(drawn);
    ++index;
  }
}

GlobalMae load_global_mae(const SafetensorsFile& weights, const GlobalMaeOptions& options) {
  GlobalMae network(options);
  const at::NoGradGuard no_gradient;
  for (auto& [name, parameter] : sorted_parameters(network)) {
    const TensorSpec* stored = weights.find(name);
    if (stored == nullptr || stored->dtype != DType::F32 ||
        at::IntArrayRef(stored->shape) != parameter.sizes()) {
      throw Error(message::kUnfitModel, "The stage-1 tensor " + name + " is missing or has another shape.",
                  {.file = weights.path().string()});
    }
    const std::span<const std::byte> bytes = weights.data(*stored);
    std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(parameter.data_ptr()));
  }
  network->eval();
  return network;
}

std::string global_mae_sha256(const GlobalMae& network) {
  Sha256 hash;
  for (const auto& [name, parameter] : sorted_parameters(network)) {
    hash.update(name);
    for (const int64_t extent : parameter.sizes()) {
      hash.update(" " + std::to_string(extent));
    }
    hash.update("\n");
    const at::Tensor values = parameter.detach().to(at::kCPU, at::kFloat).contiguous();
    hash.update(
        std::as_bytes(std::span(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()))));
  }
  return hash.hex();
}

}  // namespace slim::model
