// SPDX-License-Identifier: Apache-2.0
#include "model/jepa.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/smooth_l1_loss.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <string>

#include "core/error.h"
#include "model/device/upload.h"
#include "model/initialise.h"

namespace slim::model {
namespace {

using MaskUnits = std::vector<std::vector<int64_t>>;

/// The region of every mask unit of a clip; -1 for context and absent ones.
std::array<int, kMaskUnits> region_of_units(const Regions& regions) {
  std::array<int, kMaskUnits> region{};
  region.fill(-1);
  for (size_t i = 0; i < kTargetRegions; ++i) {
    for (const int64_t unit : regions.targets[i]) {
      region[static_cast<size_t>(unit)] = static_cast<int>(i);
    }
  }
  return region;
}

/// The mask unit of a final cell: 2 x 2 x 2 x 2 cells each.
int64_t mask_unit_of(const RowCell& cell) {
  return kLocations * (cell.t / 2) + (cell.d / 2 * 3 + cell.h / 2) * 3 + cell.w / 2;
}

/// Target rows with their clip and region.
struct TargetRows {
  std::vector<RowCell> cells;
  std::vector<int> regions;
  std::vector<int64_t> counts;                                     // of each clip
  std::vector<std::array<int64_t, kTargetRegions>> region_counts;  // of each clip
};

/// Keeps the cells whose region has a weight.
TargetRows predicted_rows(const std::vector<RowCell>& cells, const std::vector<Regions>& regions,
                          const std::array<double, kTargetRegions>& weights) {
  TargetRows rows;
  rows.counts.resize(regions.size());
  rows.region_counts.resize(regions.size());
  std::vector<std::array<int, kMaskUnits>> of_units;
  for (const Regions& clip : regions) {
    of_units.push_back(region_of_units(clip));
  }
  for (const RowCell& cell : cells) {
    const auto clip = static_cast<size_t>(cell.clip);
    const int region = of_units[clip][static_cast<size_t>(mask_unit_of(cell))];
    if (region < 0 || weights[static_cast<size_t>(region)] == 0.0) {
      continue;
    }
    rows.cells.push_back(cell);
    rows.regions.push_back(region);
    ++rows.counts[clip];
    ++rows.region_counts[clip][static_cast<size_t>(region)];
  }
  return rows;
}

std::vector<int64_t> cell_numbers(const std::vector<RowCell>& cells) {
  std::vector<int64_t> numbers;
  for (const RowCell& cell : cells) {
    numbers.push_back(final_cell_index(cell));
  }
  return numbers;
}

/// Row weights of the loss, before division by the divisor of the whole step.
struct Weights {
  at::Tensor of_rows;  // [rows], for the mean over channels
  double divisor = 0;
};

/// Plain: w_r a row. Balanced: every clip weighs 1, its regions w_r / sum w, rows of a region alike.
Weights loss_weights(const TargetRows& rows, const JepaOptions& options, const at::Tensor& like) {
  const auto& w = options.region_weights;
  at::Tensor of_rows = at::empty({static_cast<int64_t>(rows.cells.size())}, at::kDouble);
  double* out = of_rows.data_ptr<double>();
  const auto width = static_cast<double>(options.predictor.output);
  double plain = 0;
  for (size_t i = 0; i < rows.cells.size(); ++i) {
    const auto region = static_cast<size_t>(rows.regions[i]);
    if (!options.balance_regions) {
      out[i] = w[region] * width;
      plain += w[region] * width;
      continue;
    }
    const auto& counts = rows.region_counts[static_cast<size_t>(rows.cells[i].clip)];
    double all = 0;
    for (size_t k = 0; k < kTargetRegions; ++k) {
      all += counts[k] > 0 ? w[k] : 0.0;
    }
    out[i] = w[region] / (all * static_cast<double>(counts[region]));
  }
  return {upload(of_rows.to(like.scalar_type()), like.device()),
          options.balance_regions ? static_cast<double>(rows.counts.size()) : plain};
}

/// Sums of row losses by clip and region, by one product: the order of the sums is fixed on every device.
at::Tensor region_sums(const at::Tensor& row_loss, const TargetRows& rows) {
  const auto groups = static_cast<int64_t>(rows.counts.size() * kTargetRegions);
  at::Tensor member = at::zeros({groups, row_loss.size(0)}, at::kFloat);
  float* out = member.data_ptr<float>();
  for (size_t i = 0; i < rows.cells.size(); ++i) {
    const int64_t group = rows.cells[i].clip * static_cast<int64_t>(kTargetRegions) + rows.regions[i];
    out[group * row_loss.size(0) + static_cast<int64_t>(i)] = 1.0F;
  }
  return upload(member.to(row_loss.scalar_type()), row_loss.device())
      .mv(row_loss)
      .view({-1, static_cast<int64_t>(kTargetRegions)});
}

at::Tensor region_counts(const TargetRows& rows, const at::Tensor& like) {
  at::Tensor counts = at::empty({static_cast<int64_t>(rows.counts.size() * kTargetRegions)}, at::kDouble);
  double* out = counts.data_ptr<double>();
  for (const auto& clip : rows.region_counts) {
    for (const int64_t count : clip) {
      *out++ = count > 0 ? static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
    }
  }
  return upload(counts.to(like.scalar_type()), like.device())
      .view({-1, static_cast<int64_t>(kTargetRegions)});
}

at::ScalarType statistics_type(const at::Tensor& rows) {
  return rows.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

TargetInput target_input_from(std::string_view name) {
  if (name == "targets" || name == "full") {
    return name == "full" ? TargetInput::Full : TargetInput::Targets;
  }
  throw Error(message::kBadValue, "There is no target input \"" + std::string(name) + "\".",
              {.expected = "targets or full"});
}

RowLoss row_loss_from(std::string_view name) {
  if (name == "smooth_l1" || name == "mse") {
    return name == "mse" ? RowLoss::Mse : RowLoss::SmoothL1;
  }
  throw Error(message::kBadValue, "There is no loss \"" + std::string(name) + "\".",
              {.expected = "smooth_l1 or mse"});
}

double JepaOutput::loss() const { return loss_sum.item<double>() / divisor; }

Jepa::Jepa(const JepaOptions& options, uint64_t seed)
    : online(options.encoder, options.fusion),
      target(options.encoder, options.fusion),
      predictor(options.predictor),
      options_(options) {
  const auto& w = options.region_weights;
  if (std::any_of(w.begin(), w.end(), [](double x) { return !(x >= 0.0); }) || w[0] + w[1] + w[2] <= 0.0) {
    throw Error(message::kBadValue, "The weights of the three regions are not negative and not all 0.");
  }
  init_parameters(online_parameters(), seed);
  copy_values(online.parameters(), target.parameters());
  set_requires_grad(target.parameters(), false);
}

Parameters Jepa::online_parameters() const {
  Parameters all = online.parameters();
  add_parameters(all, *predictor);
  return all;
}

Parameters Jepa::target_parameters() const { return target.parameters(); }

void Jepa::to(at::Device device, at::ScalarType type) {
  online.to(device, type);
  target.to(device, type);
  predictor->to(device, type);
}

at::Tensor Jepa::target_rows(const at::Tensor& clips, const std::vector<Regions>& regions,
                             const std::vector<RowCell>& wanted) const {
  const at::NoGradGuard no_gradient;
  LayoutOptions layout_options{.background = options_.background,
                               .tokens = options_.tokens,
                               .clips = clips.size(0),
                               .unit_tau = options_.unit_tau};
  const auto masks = static_cast<int64_t>(regions.size()) / clips.size(0);
  at::Tensor input = clips;
  if (options_.target_input == TargetInput::Targets) {
    layout_options.clips = static_cast<int64_t>(regions.size());
    input = masks == 1 ? clips : clips.repeat_interleave(masks, 0);
    for (const Regions& clip : regions) {
      layout_options.mask_units.push_back(clip.all_targets());
    }
  }
  const TokenLayout layout(layout_options);
  std::vector<int64_t> place(static_cast<size_t>(layout.clips() * kFinalCells), -1), rows;
  int64_t row = 0;
  for (const RowCell& cell : layout.final_cells()) {
    place[static_cast<size_t>(cell.clip * kFinalCells + final_cell_index(cell))] = row++;
  }
  for (const RowCell& cell : wanted) {
    const int64_t clip = options_.target_input == TargetInput::Full ? cell.clip / masks : cell.clip;
    rows.push_back(place[static_cast<size_t>(clip * kFinalCells + final_cell_index(cell))]);
  }
  const at::Tensor z = target.rows(input, layout).index_select(0, index_tensor(rows, clips.device()));
  return at::layer_norm(z.to(statistics_type(z)), {z.size(1)}, {}, {}, 1e-6);
}

JepaOutput Jepa::forward(const at::Tensor& clips, const std::vector<Regions>& regions) const {
  const auto masks = static_cast<int64_t>(regions.size()) / std::max<int64_t>(1, clips.size(0));
  if (masks < 1 || masks * clips.size(0) != static_cast<int64_t>(regions.size())) {
    throw Error(message::kBug, "The regions of a batch are not a multiple of its clips.");
  }
  LayoutOptions layout_options{.background = options_.background,
                               .tokens = options_.tokens,
                               .clips = static_cast<int64_t>(regions.size()),
                               .unit_tau = options_.unit_tau};
  MaskUnits targets;
  for (const Regions& clip : regions) {
    layout_options.mask_units.push_back(clip.context);
    targets.push_back(clip.all_targets());
  }
  const TokenLayout context_layout(layout_options);
  layout_options.mask_units = targets;
  const TargetRows rows =
      predicted_rows(TokenLayout(layout_options).final_cells(), regions, options_.region_weights);

  JepaOutput output;
  output.targets = target_rows(clips, regions, rows.cells);
  const at::Tensor input = masks == 1 ? clips : clips.repeat_interleave(masks, 0);
  const at::Tensor context = online.rows(input, context_layout, options_.recompute);
  output.context = context.detach();
  output.context_cells = context_layout.final_cells();
  const at::Tensor predicted = predictor->forward(context,
                                                  {.context_counts = context_layout.clip_rows(),
                                                   .query_counts = rows.counts,
                                                   .context_cells = cell_numbers(output.context_cells),
                                                   .query_cells = cell_numbers(rows.cells)},
                                                  options_.recompute);
  const at::Tensor g = predicted.to(statistics_type(predicted));
  const at::Tensor row_loss =
      (options_.loss == RowLoss::Mse ? at::mse_loss(g, output.targets, at::Reduction::None)
                                     : at::smooth_l1_loss(g, output.targets, at::Reduction::None))
          .mean(1);
  const Weights weights = loss_weights(rows, options_, row_loss);
  output.loss_sum = row_loss.dot(weights.of_rows);
  output.divisor = weights.divisor;
  output.predictions = g.detach();
  output.target_cells = rows.cells;
  const at::Tensor sums = region_sums(row_loss.detach(), rows);
  output.region_means = sums / region_counts(rows, sums);
  output.region_sums = sums.sum(0);
  for (const auto& clip : rows.region_counts) {
    for (size_t i = 0; i < kTargetRegions; ++i) {
      output.region_rows[i] += clip[i];
    }
  }
  return output;
}

}  // namespace slim::model
