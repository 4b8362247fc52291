// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/encoder_config.h"

#include <algorithm>
#include <utility>

#include "core/slim_grid.h"

namespace slim::model {
namespace {

constexpr int64_t kFinalCells = (kClipFrames / 4) * (kSlimSize / 16) * (kSlimSize / 16) * (kSlimSize / 16);

/// Collects tensors; a layer is a weight and a bias.
class Table {
 public:
  void add(std::string name, std::vector<int64_t> shape) {
    tensors_.push_back({.name = std::move(name), .dtype = DType::F32, .shape = std::move(shape)});
  }
  void layer(const std::string& name, std::vector<int64_t> weight_shape) {
    const int64_t out = weight_shape.front();
    add(name + ".weight", std::move(weight_shape));
    add(name + ".bias", {out});
  }
  void block(const std::string& name, int64_t dim_in, int64_t dim_out, int64_t hidden) {
    layer(name + ".norm1", {dim_in});
    layer(name + ".attn.qkv", {3 * dim_out, dim_in});
    layer(name + ".attn.proj", {dim_out, dim_out});
    layer(name + ".norm2", {dim_out});
    layer(name + ".mlp.fc1", {hidden, dim_out});
    layer(name + ".mlp.fc2", {dim_out, hidden});
  }
  std::vector<TensorSpec> sorted() && {
    std::sort(tensors_.begin(), tensors_.end(),
              [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
    return std::move(tensors_);
  }

 private:
  std::vector<TensorSpec> tensors_;
};

}  // namespace

std::vector<TensorSpec> encoder_tensors(const EncoderOptions& options) {
  Table table;
  table.add("pos_embed_spatial", {1, kTokenGrid * kTokenGrid * kTokenGrid, options.embed_dim});
  table.add("pos_embed_temporal", {1, kClipFrames, options.embed_dim});
  table.layer("patch_embed.proj", {options.embed_dim, 1, 1, kTokenEdge, kTokenEdge, kTokenEdge});
  const std::vector<BlockShape> blocks = block_shapes(options);
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::string name = "blocks." + std::to_string(i);
    table.block(name, blocks[i].dim_in, blocks[i].dim_out, blocks[i].hidden);
    if (blocks[i].doubles()) {
      table.layer(name + ".proj", {blocks[i].dim_out, blocks[i].dim_in});
    }
  }
  table.layer("encoder_norm", {options.width()});
  return std::move(table).sorted();
}

std::vector<TensorSpec> fusion_tensors(const EncoderOptions& options) {
  Table table;
  table.layer("multi_scale_fusion_heads.0", {options.width(), options.embed_dim, 4, 4, 4, 4});
  table.layer("multi_scale_fusion_heads.1", {options.width(), 2 * options.embed_dim, 2, 2, 2, 2});
  return std::move(table).sorted();
}

std::vector<TensorSpec> predictor_tensors(const EncoderOptions& options, const PredictorShape& shape) {
  Table table;
  table.add("mask_token", {1, 1, shape.width});
  table.add("decoder_pos_embed", {1, kFinalCells, shape.width});
  table.layer("decoder_embed", {shape.width, options.width()});
  for (int64_t j = 0; j < shape.depth; ++j) {
    table.block("decoder_blocks." + std::to_string(j), shape.width, shape.width, 4 * shape.width);
  }
  table.layer("decoder_norm", {shape.width});
  table.layer("decoder_pred", {shape.output, shape.width});
  return std::move(table).sorted();
}

int64_t parameter_count(const std::vector<TensorSpec>& tensors) {
  int64_t count = 0;
  for (const TensorSpec& tensor : tensors) {
    count += tensor.count();
  }
  return count;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t length : shape) {
    text += (text.empty() ? "" : " x ") + std::to_string(length);
  }
  return text.empty() ? "scalar" : text;
}

}  // namespace slim::model
