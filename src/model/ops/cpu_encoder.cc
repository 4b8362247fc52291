// SPDX-License-Identifier: Apache-2.0
#include "model/ops/cpu_encoder.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "model/ops/run_tasks.h"
#include "model/ops/unit_encoder.h"
#include "model/voxel_order.h"

namespace slim::model::cpu {
namespace {

/// The blocks inside mask units, unit by unit; longest first, so that threads end together. Gives the rows
/// after the last of them, location-major, and those at the ends of stages 0 and 1 when asked for.
at::Tensor encode_units(const Kernels& kernels, const PackedEncoder& encoder, size_t blocks,
                        const Cubes& cubes, const TokenLayout& layout, const RowWatcher& watch,
                        const std::array<int64_t, 4>& ends, std::array<at::Tensor, 2>* stage_rows) {
  std::vector<at::Tensor> outputs(blocks + 1);
  std::vector<int> levels{0};
  std::vector<int64_t> widths{encoder.embed.n};
  for (size_t i = 0; i < blocks; ++i) {
    levels.push_back(encoder.blocks[i].shape.level_out);
    widths.push_back(encoder.blocks[i].shape.dim_out);
  }
  const auto kept = [&](size_t i, size_t stage) {
    return stage_rows != nullptr && static_cast<int64_t>(i) == ends[stage] + 1;
  };
  for (size_t i = 0; i <= blocks; ++i) {
    if (watch || i == blocks || kept(i, 0) || kept(i, 1)) {
      outputs[i] = at::empty({layout.rows(levels[i]), widths[i]}, at::kFloat);
    }
  }
  std::vector<std::pair<const TokenLayout::Location*, size_t>> tasks;
  for (const TokenLayout::Location& location : layout.locations()) {
    for (size_t unit = 0; unit < location.units.size(); ++unit) {
      tasks.emplace_back(&location, unit);
    }
  }
  std::stable_sort(tasks.begin(), tasks.end(), [](const auto& a, const auto& b) {
    return a.first->unit_rows(0) > b.first->unit_rows(0);
  });
  std::vector<std::unique_ptr<UnitScratch>> scratch(static_cast<size_t>(task_workers()));
  run_tasks(static_cast<int64_t>(tasks.size()), [&](int64_t task, int64_t worker) {
    auto& own = scratch[static_cast<size_t>(worker)];
    if (!own) {
      own = std::make_unique<UnitScratch>(encoder, layout);
    }
    const auto& [location, unit] = tasks[static_cast<size_t>(task)];
    std::vector<float*> places(outputs.size(), nullptr);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].defined()) {
        const int64_t row = location->first_row[static_cast<size_t>(levels[i])] +
                            static_cast<int64_t>(unit) * location->unit_rows(levels[i]);
        places[i] = outputs[i].data_ptr<float>() + row * widths[i];
      }
    }
    encode_unit(kernels, encoder, *location, unit, cubes, places, *own);
  });
  for (size_t i = 0; i <= blocks && watch; ++i) {
    watch(i == 0 ? "embedding" : block_name(i - 1), outputs[i], layout.cells(levels[i]));
  }
  for (size_t stage = 0; stage < 2 && stage_rows != nullptr; ++stage) {
    (*stage_rows)[stage] = outputs[static_cast<size_t>(ends[stage]) + 1];
  }
  return outputs[blocks];
}

/// A clip of the batch: its final rows.
struct ClipRows {
  int64_t first = 0, rows = 0;
};

/// The blocks over whole clips: buffers for all rows, tasks over chunks of rows, heads and blocks of queries.
class ClipBlocks {
 public:
  ClipBlocks(const Kernels& kernels, const PackedEncoder& encoder, const TokenLayout& layout)
      : kernels_(kernels), rows_(layout.rows(kLevels - 1)) {
    int64_t first = 0, width = 0;
    for (const int64_t rows : layout.clip_rows()) {
      clips_.push_back({first, rows});
      padded_.push_back(panels_size(rows, 1));
      first += rows;
    }
    for (const PackedBlock& block : encoder.blocks) {
      width = std::max(width, block.shape.dim_out);
    }
    for (const int64_t rows : padded_) {
      key_rows_ += rows;
    }
    qkv_ = Buffer(rows_ * 3 * width);
    attended_ = Buffer(rows_ * width);
    keys_ = Buffer(key_rows_ * width);
    values_ = Buffer(key_rows_ * width);
    // Results do not depend on the chunk; small ones keep all threads busy.
    chunk_ = std::clamp<int64_t>(rows_ / (4 * task_workers()), kQueryBlock / 2, kChunk);
    for (int64_t i = 0; i < task_workers(); ++i) {
      scratch_.emplace_back(encoder);
    }
  }

  at::Tensor run(const PackedBlock& block, const at::Tensor& x) {
    const int64_t in = block.shape.dim_in, out = block.shape.dim_out, chunks = (rows_ + chunk_ - 1) / chunk_;
    at::Tensor y = block.shape.doubles() ? at::empty({rows_, out}, at::kFloat) : x;
    float* const skip = y.data_ptr<float>();
    const float* const from = x.const_data_ptr<float>();
    run_tasks(chunks, [&](int64_t task, int64_t worker) {
      const int64_t first = task * chunk_;
      project_rows(kernels_, block, from + first * in, std::min(chunk_, rows_ - first),
                   qkv_.get() + first * 3 * out, skip + first * out, scratch_[static_cast<size_t>(worker)]);
    });
    attend(block.shape);
    run_tasks(chunks, [&](int64_t task, int64_t worker) {
      const int64_t first = task * chunk_;
      finish_rows(kernels_, block, attended_.get() + first * out, std::min(chunk_, rows_ - first),
                  skip + first * out, scratch_[static_cast<size_t>(worker)]);
    });
    return y;
  }

 private:
  void attend(const BlockShape& shape) {
    struct Task {
      size_t clip;
      int64_t head, query, key_place;
    };
    const int64_t width = shape.dim_out, size = shape.head_size(), ld = 3 * width;
    std::vector<Task> heads, tasks;
    int64_t place = 0;
    for (size_t clip = 0; clip < clips_.size(); ++clip) {
      for (int64_t head = 0; head < shape.heads; ++head, place += padded_[clip] * size) {
        heads.push_back({clip, head, 0, place});
        for (int64_t query = 0; query < clips_[clip].rows; query += kQueryBlock) {
          tasks.push_back({clip, head, query, place});
        }
      }
    }
    const auto qkv_of = [&](const Task& task) {
      return qkv_.get() + clips_[task.clip].first * ld + task.head * size;
    };
    run_tasks(static_cast<int64_t>(heads.size()), [&](int64_t i, int64_t) {
      const Task& task = heads[static_cast<size_t>(i)];
      const int64_t rows = clips_[task.clip].rows;
      pack_panels(qkv_of(task) + width, ld, rows, size, keys_.get() + task.key_place);
      pack_rows(qkv_of(task) + 2 * width, ld, rows, size, values_.get() + task.key_place);
    });
    run_tasks(static_cast<int64_t>(tasks.size()), [&](int64_t i, int64_t worker) {
      const Task& task = tasks[static_cast<size_t>(i)];
      const ClipRows& clip = clips_[task.clip];
      kernels_.attend(qkv_of(task) + task.query * ld, ld, std::min(kQueryBlock, clip.rows - task.query),
                      keys_.get() + task.key_place, values_.get() + task.key_place, clip.rows, size,
                      attended_.get() + (clip.first + task.query) * width + task.head * size, width, nullptr,
                      scratch_[static_cast<size_t>(worker)].attention.get());
    });
  }

  const Kernels& kernels_;
  int64_t rows_, key_rows_ = 0, chunk_ = 0;
  std::vector<ClipRows> clips_;
  std::vector<int64_t> padded_;
  Buffer qkv_, attended_, keys_, values_;
  std::vector<ChunkScratch> scratch_;
};

at::Tensor clip_major_rows(const at::Tensor& rows, const TokenLayout& layout) {
  at::Tensor ordered = at::empty_like(rows);
  const int64_t width = rows.size(1);
  const float* const from = rows.const_data_ptr<float>();
  float* out = ordered.data_ptr<float>();
  for (const int64_t row : layout.clip_major()) {
    out = std::copy(from + row * width, from + (row + 1) * width, out);
  }
  return ordered;
}

}  // namespace

at::Tensor final_rows(const Kernels& kernels, const HieraEncoderImpl& encoder, const at::Tensor& clip,
                      const TokenLayout& layout, const RowWatcher& watch,
                      std::array<at::Tensor, 2>* stage_rows) {
  check_clip_shape(clip, layout);
  const PackedEncoder packed = pack_encoder(encoder);
  const bool dense = clip.dim() == 5;
  const at::Tensor voxels = (dense ? cubes_from_dense(clip) : clip).to(at::kFloat).contiguous();
  const Cubes cubes{
      .values = voxels.const_data_ptr<float>(), .cubes = voxels.size(2), .by_grid_index = dense};
  size_t in_units = 0;
  while (in_units < packed.blocks.size() && packed.blocks[in_units].shape.in_mask_units) {
    ++in_units;
  }
  at::Tensor x = clip_major_rows(encode_units(kernels, packed, in_units, cubes, layout, watch,
                                              stage_ends(encoder.options()), stage_rows),
                                 layout);
  ClipBlocks over_clips(kernels, packed, layout);
  for (size_t i = in_units; i < packed.blocks.size(); ++i) {
    x = over_clips.run(packed.blocks[i], x);
    if (watch) {
      watch(block_name(i), x, layout.final_cells());
    }
  }
  return x;
}

}  // namespace slim::model::cpu
