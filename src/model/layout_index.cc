// SPDX-License-Identifier: Apache-2.0
#include "model/layout_index.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/repeat_interleave.h>

#include <algorithm>
#include <optional>

#include "model/device/upload.h"

namespace slim::model {
namespace {

using Location = TokenLayout::Location;
using Columns = std::vector<std::vector<int64_t>>;

/// The columns [columns, numbers] of equal length on a device, in one copy.
at::Tensor columns_tensor(const Columns& columns, at::Device device) {
  const auto length = static_cast<int64_t>(columns.front().size());
  at::Tensor host = at::empty({static_cast<int64_t>(columns.size()), length}, at::kLong);
  int64_t* out = host.data_ptr<int64_t>();
  for (const std::vector<int64_t>& column : columns) {
    out = std::copy(column.begin(), column.end(), out);
  }
  return upload(host, device);
}

/// Spreads a unit's rows of every location (Note [Row numbers]) over all rows of a level.
class UnitRows {
 public:
  UnitRows(const TokenLayout& layout, int level, at::Device device) {
    Columns units(6);  // rows; from a row to that of the one unit; first frame, time, row below, final row
    const auto k = static_cast<size_t>(level);
    int64_t first_of_location = 0;
    for (const Location& location : layout.locations()) {
      const int64_t rows = location.unit_rows(level);
      for (size_t u = 0; u < location.units.size(); ++u) {
        const auto& [clip, block] = location.units[u];
        const auto nth = static_cast<int64_t>(u);
        units[0].push_back(rows);
        units[1].push_back(first_of_location - location.first_row[k] - nth * rows);
        units[2].push_back(clip * kClipFrames);
        units[3].push_back(block * kUnitFrames);
        units[4].push_back(level == 0 ? 0 : location.first_row[k - 1] + nth * location.unit_rows(level - 1));
        units[5].push_back(location.first_row[kLevels - 1] + nth * location.unit_rows(kLevels - 1));
      }
      first_of_location += rows;
    }
    units_ = columns_tensor(units, device);
    // The known number of rows spares a question to the device.
    unit_ = at::repeat_interleave(units_[0], std::optional<int64_t>(layout.rows(level)));
    row_ = at::arange(layout.rows(level), units_.options()).add_(units_[1].index_select(0, unit_));
  }

  /// Rows of the one-unit tables, for every row.
  at::Tensor of_row(const at::Tensor& one_unit_each) const { return one_unit_each.index_select(0, row_); }
  at::Tensor first_frame() const { return units_[2].index_select(0, unit_); }
  at::Tensor first_time() const { return units_[3].index_select(0, unit_); }
  /// First row of the row's unit at the level below.
  at::Tensor first_child_row() const { return units_[4].index_select(0, unit_); }
  at::Tensor first_final_row() const { return units_[5].index_select(0, unit_); }

 private:
  at::Tensor units_, unit_, row_;
};

/// One unit of every location, one after the other: its frame, place in space and place in the token set.
Columns unit_tokens(const TokenLayout& layout) {
  Columns columns(3);
  for (const Location& location : layout.locations()) {
    for (int64_t frame = 0; frame < kUnitFrames; ++frame) {
      for (size_t i = 0; i < location.cells[0].size(); ++i) {
        columns[0].push_back(frame);
        columns[1].push_back(location.cells[0][i].grid_index());
        columns[2].push_back(location.sources[i]);
      }
    }
  }
  return columns;
}

/// One unit of every location: the children of its rows of level + 1, from the unit's first row on.
std::vector<int64_t> unit_children(const TokenLayout& layout, int level) {
  std::vector<int64_t> children;
  const auto k = static_cast<size_t>(level);
  for (const Location& location : layout.locations()) {
    const auto in_frame = static_cast<int64_t>(location.cells[k].size());
    for (int64_t frame = 0; frame < kUnitFrames >> level; frame += 2) {
      for (size_t j = 0; j + 1 < location.first_child[k].size(); ++j) {
        const int64_t first = frame * in_frame + location.first_child[k][j];
        const int64_t count = location.first_child[k][j + 1] - location.first_child[k][j];
        for (int64_t child = 0; child < kMostChildren / 2; ++child) {
          children.push_back(first + std::min(child, count - 1));
          children.push_back(first + in_frame + std::min(child, count - 1));
        }
      }
    }
  }
  return children;
}

/// One unit of every location: the final row of each row of a level, from the unit's first final row on, and
/// its place among that row's children.
Columns unit_slots(const TokenLayout& layout, int level) {
  Columns columns(2);
  const int64_t edge = int64_t{4} >> level;
  for (const Location& location : layout.locations()) {
    const std::vector<TokenCell>& finals = location.cells[kLevels - 1];
    std::vector<int64_t> parent, place;  // of every cell
    for (const TokenCell& cell : location.cells[static_cast<size_t>(level)]) {
      const int64_t d = cell.d, h = cell.h, w = cell.w;
      const TokenCell around{static_cast<uint8_t>(d / edge), static_cast<uint8_t>(h / edge),
                             static_cast<uint8_t>(w / edge)};
      parent.push_back(std::find(finals.begin(), finals.end(), around) - finals.begin());
      place.push_back((d % edge * edge + h % edge) * edge + w % edge);
    }
    for (int64_t t = 0; t < kUnitFrames >> level; ++t) {
      for (size_t i = 0; i < parent.size(); ++i) {
        columns[0].push_back(t / edge * static_cast<int64_t>(finals.size()) + parent[i]);
        columns[1].push_back(t % edge * edge * edge * edge + place[i]);
      }
    }
  }
  return columns;
}

at::Tensor children_tensor(const TokenLayout& layout, int level, at::Device device) {
  const UnitRows rows(layout, level + 1, device);
  const at::Tensor of_units = index_tensor(unit_children(layout, level), device).view({-1, kMostChildren});
  return rows.of_row(of_units).add_(rows.first_child_row().unsqueeze(1)).view({-1});
}

}  // namespace

at::Tensor index_tensor(const std::vector<int64_t>& values, at::Device device) {
  return columns_tensor({values}, device)[0];
}

LayoutIndex make_layout_index(const TokenLayout& layout, at::Device device) {
  const UnitRows rows(layout, 0, device);
  const at::Tensor of_units = columns_tensor(unit_tokens(layout), device);
  LayoutIndex index;
  index.time = rows.of_row(of_units[0]).add_(rows.first_time());
  index.frame = rows.first_frame().add_(index.time);
  index.space = rows.of_row(of_units[1]);
  index.place = rows.of_row(of_units[2]);
  index.children = {children_tensor(layout, 0, device), children_tensor(layout, 1, device)};
  index.clip_major = index_tensor(layout.clip_major(), device);
  return index;
}

at::Tensor child_slots(const TokenLayout& layout, int level, at::Device device) {
  const UnitRows rows(layout, level, device);
  const at::Tensor of_units = columns_tensor(unit_slots(layout, level), device);
  std::vector<int64_t> in_clip_order(layout.clip_major().size());
  for (size_t row = 0; row < in_clip_order.size(); ++row) {
    in_clip_order[static_cast<size_t>(layout.clip_major()[row])] = static_cast<int64_t>(row);
  }
  const at::Tensor final_row = rows.of_row(of_units[0]).add_(rows.first_final_row());
  const int64_t children = int64_t{256} >> (4 * level);
  return index_tensor(in_clip_order, device)
      .index_select(0, final_row)
      .mul_(children)
      .add_(rows.of_row(of_units[1]));
}

}  // namespace slim::model
