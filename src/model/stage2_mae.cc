// SPDX-License-Identifier: Apache-2.0
#include "model/stage2_mae.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/scalar_tensor.h>

#include <algorithm>

#include "core/error.h"
#include "model/initialise.h"
#include "model/regions.h"

namespace slim::model {
namespace {

PredictorOptions with_output(PredictorOptions options, int64_t output) {
  options.output = output;
  return options;
}

std::vector<int64_t> masked_units(const std::vector<int64_t>& locations,
                                  const std::vector<int64_t>& visible) {
  std::vector<int64_t> masked;
  for (int64_t block = 0; block < kTimeBlocks; ++block) {
    for (const int64_t location : locations) {
      const int64_t unit = block * kLocations + location;
      if (std::find(visible.begin(), visible.end(), unit) == visible.end()) {
        masked.push_back(unit);
      }
    }
  }
  return masked;
}

/// Where the masked tokens of S lie: among the decoder's outputs and in the packed clips.
struct TokenPlaces {
  std::vector<int64_t> outputs;  // (final row * frames + dt) * 64 + token in the cell
  std::vector<int64_t> packed;   // (clip * 40 + t) * tokens + token
  std::vector<int64_t> valid;    // clip * tokens + token
};

TokenPlaces masked_tokens(const TokenLayout& layout, int64_t frames) {
  TokenPlaces places;
  const at::Tensor slot_of_rows = child_slots(layout, 0, at::kCPU);
  const auto* const slots = slot_of_rows.const_data_ptr<int64_t>();
  const std::vector<RowCell> cells = layout.cells(0);
  const int64_t tokens = layout.packed_tokens();
  std::vector<int64_t> token_at(static_cast<size_t>(kTokenGrid * kTokenGrid * kTokenGrid), -1);
  for (int64_t i = 0; i < tokens; ++i) {
    token_at[static_cast<size_t>(layout.packed_grid_index()[static_cast<size_t>(i)])] = i;
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    const RowCell& cell = cells[i];
    const int64_t token = token_at[static_cast<size_t>((cell.d * kTokenGrid + cell.h) * kTokenGrid + cell.w)];
    if (cell.t % 4 >= frames || token < 0) {
      continue;
    }
    places.outputs.push_back(slots[i] / 256 * frames * 64 + slots[i] % 256);
    places.packed.push_back((cell.clip * kClipFrames + cell.t) * tokens + token);
    places.valid.push_back(cell.clip * tokens + token);
  }
  return places;
}

/// [cells, frames * 16^3] as voxels (dt, x, y, z) -> [cells * frames * 64, 64]: tokens of a cell by (d, h,
/// w), voxels of a token in theirs.
at::Tensor by_tokens(const at::Tensor& cells, int64_t frames) {
  constexpr int64_t edge = kTokenEdge;
  return cells.view({-1, frames, edge, edge, edge, edge, edge, edge})
      .permute({0, 1, 2, 4, 6, 3, 5, 7})
      .reshape({-1, kTokenVoxels});
}

}  // namespace

MaeFrames mae_frames_from(std::string_view name) {
  if (name == "all" || name == "first") {
    return name == "first" ? MaeFrames::First : MaeFrames::All;
  }
  throw Error(message::kBadValue, "There is no choice of frames \"" + std::string(name) + "\".",
              {.expected = "all or first"});
}

int64_t mae_output(MaeFrames frames) { return frames == MaeFrames::All ? 4 * 4096 : 4096; }

double Stage2MaeOutput::loss() const { return (loss_sum / divisor).item<double>(); }

Stage2Mae::Stage2Mae(const Stage2MaeOptions& options, uint64_t seed)
    : online(options.encoder, options.fusion),
      decoder(with_output(options.decoder, mae_output(options.frames))),
      options_(options),
      locations_(existing_locations(
          {.background = options.background, .tokens = options.tokens, .unit_tau = options.unit_tau})) {
  init_parameters(parameters(), seed);
}

Parameters Stage2Mae::parameters() const {
  Parameters all = online.parameters();
  add_parameters(all, *decoder);
  return all;
}

void Stage2Mae::to(at::Device device, at::ScalarType type) {
  online.to(device, type);
  decoder->to(device, type);
}

Stage2MaeOutput Stage2Mae::forward(const at::Tensor& clips, const at::Tensor& valid,
                                   const std::vector<std::vector<int64_t>>& visible) const {
  if (clips.dim() != 4) {
    throw Error(message::kBug, "The masked reconstruction takes packed clips.");
  }
  LayoutOptions layout_options{.background = options_.background,
                               .tokens = options_.tokens,
                               .clips = clips.size(0),
                               .mask_units = visible,
                               .unit_tau = options_.unit_tau};
  const TokenLayout seen(layout_options);
  layout_options.mask_units.clear();
  for (const std::vector<int64_t>& clip : visible) {
    layout_options.mask_units.push_back(masked_units(locations_, clip));
  }
  const TokenLayout masked(layout_options);
  const auto numbers = [](const TokenLayout& layout) {
    std::vector<int64_t> cells;
    for (const RowCell& cell : layout.final_cells()) {
      cells.push_back(final_cell_index(cell));
    }
    return cells;
  };
  const at::Tensor context = online.rows(clips, seen, options_.recompute);
  const at::Tensor predicted = decoder->forward(context,
                                                {.context_counts = seen.clip_rows(),
                                                 .query_counts = masked.clip_rows(),
                                                 .context_cells = numbers(seen),
                                                 .query_cells = numbers(masked)},
                                                options_.recompute);
  const int64_t frames = options_.frames == MaeFrames::All ? 4 : 1;
  const TokenPlaces places = masked_tokens(masked, frames);
  const auto index = [&](const std::vector<int64_t>& values) { return index_tensor(values, clips.device()); };
  const auto type = predicted.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor x = clips.reshape({-1, kTokenVoxels}).index_select(0, index(places.packed)).to(type);
  const at::Tensor difference =
      by_tokens(predicted, frames).index_select(0, index(places.outputs)).to(type) - x;
  Stage2MaeOutput output{
      .loss_sum = {}, .divisor = {}, .context = context.detach(), .masked_cells = masked.rows(kLevels - 1)};
  if (valid.defined()) {
    const at::Tensor m = valid.reshape({-1, kTokenVoxels}).index_select(0, index(places.valid)).to(type);
    output.loss_sum = (difference.square() * m).sum();
    output.divisor = m.sum();
  } else {
    output.loss_sum = difference.square().sum();
    output.divisor = at::scalar_tensor(static_cast<double>(difference.numel()), difference.options());
  }
  return output;
}

}  // namespace slim::model
