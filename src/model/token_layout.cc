// SPDX-License-Identifier: Apache-2.0
#include "model/token_layout.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <tuple>

#include "core/error.h"

namespace slim::model {
namespace {

constexpr std::array<std::string_view, 3> kBackgroundNames{"token", "unit", "none"};

/// exists[clip][mask unit]
using Choice = std::vector<std::vector<uint8_t>>;

Choice chosen_mask_units(const LayoutOptions& options) {
  const auto clips = static_cast<size_t>(options.clips);
  if (options.clips < 1 || (options.mask_units.size() > 1 && options.mask_units.size() != clips)) {
    throw Error(message::kBadValue,
                "A layout needs at least one clip, and one list of mask units or one for each clip.",
                {.found = std::to_string(options.clips) + " clips, " +
                          std::to_string(options.mask_units.size()) + " lists"});
  }
  Choice choice(clips, std::vector<uint8_t>(kMaskUnits, options.mask_units.empty() ? 1 : 0));
  for (size_t clip = 0; clip < clips && !options.mask_units.empty(); ++clip) {
    for (const int64_t unit :
         options.mask_units.size() == 1 ? options.mask_units[0] : options.mask_units[clip]) {
      if (unit < 0 || unit >= kMaskUnits || choice[clip][static_cast<size_t>(unit)] != 0) {
        throw Error(message::kBadValue, "Mask units are numbers from 0 to 134, each named once.",
                    {.found = std::to_string(unit)});
      }
      choice[clip][static_cast<size_t>(unit)] = 1;
    }
  }
  return choice;
}

std::vector<TokenCell> all_cells_of(int64_t location) {
  std::vector<uint8_t> flags(static_cast<size_t>(kTokenGrid * kTokenGrid * kTokenGrid), 0);
  const auto base = [](int64_t third) { return kLocationEdge * third; };
  for (int64_t i = 0; i < kLocationEdge * kLocationEdge * kLocationEdge; ++i) {
    const int64_t d = base(location / 9) + i / 64, h = base(location / 3 % 3) + i / 8 % 8,
                  w = base(location % 3) + i % 8;
    flags[static_cast<size_t>((d * kTokenGrid + h) * kTokenGrid + w)] = 1;
  }
  return token_set_from_flags(flags).cells;
}

/// Share of the voxels of each location that the packaged brain mask holds.
std::array<double, kLocations> brain_share() {
  std::array<double, kLocations> share{};
  const std::vector<uint8_t>& mask = packaged_brain_mask();
  constexpr int64_t edge = kLocationEdge * kTokenEdge;
  for (int64_t i = 0; i < kSlimVoxels; ++i) {  // x fastest
    const int64_t x = i % kSlimSize, y = i / kSlimSize % kSlimSize, z = i / (kSlimSize * kSlimSize);
    share[static_cast<size_t>((x / edge * 3 + y / edge) * 3 + z / edge)] += mask[static_cast<size_t>(i)];
  }
  for (double& value : share) {
    value /= static_cast<double>(edge * edge * edge);
  }
  return share;
}

/// The level-0 cells of every location in this mode; none where the location does not exist.
std::array<std::vector<TokenCell>, kLocations> cells_by_location(const LayoutOptions& options,
                                                                 const TokenSet& tokens) {
  std::array<std::vector<TokenCell>, kLocations> cells;
  if (options.background == Background::Token) {
    for (const TokenCell& cell : tokens.cells) {
      cells[static_cast<size_t>(cell.location())].push_back(cell);
    }
    return cells;
  }
  const auto share =
      options.background == Background::Unit ? brain_share() : std::array<double, kLocations>{};
  for (int64_t location = 0; location < kLocations; ++location) {
    if (options.background == Background::None || share[static_cast<size_t>(location)] > options.unit_tau) {
      cells[static_cast<size_t>(location)] = all_cells_of(location);
    }
  }
  return cells;
}

/// Adds the cells of levels 1 and 2: neighbours in Morton order that share a parent.
void add_coarser_levels(TokenLayout::Location& location) {
  for (size_t level = 0; level + 1 < kLevels; ++level) {
    const std::vector<TokenCell>& fine = location.cells[level];
    std::vector<TokenCell>& coarse = location.cells[level + 1];
    for (size_t i = 0; i < fine.size(); ++i) {
      const TokenCell parent{static_cast<uint8_t>(fine[i].d / 2), static_cast<uint8_t>(fine[i].h / 2),
                             static_cast<uint8_t>(fine[i].w / 2)};
      if (coarse.empty() || !(coarse.back() == parent)) {
        coarse.push_back(parent);
        location.first_child[level].push_back(static_cast<int64_t>(i));
      }
    }
    location.first_child[level].push_back(static_cast<int64_t>(fine.size()));
  }
}

}  // namespace

std::string_view name_of(Background background) { return kBackgroundNames[static_cast<size_t>(background)]; }

Background background_from(std::string_view name) {
  const auto* const found = std::find(kBackgroundNames.begin(), kBackgroundNames.end(), name);
  if (found == kBackgroundNames.end()) {
    throw Error(message::kBadValue, "There is no background mode \"" + std::string(name) + "\".",
                {.expected = "token, unit or none"});
  }
  return static_cast<Background>(found - kBackgroundNames.begin());
}

TokenLayout::TokenLayout(const LayoutOptions& options)
    : background_(options.background), clips_(options.clips) {
  const TokenSet& tokens = options.tokens != nullptr ? *options.tokens : packaged_token_set();
  const Choice choice = chosen_mask_units(options);
  std::vector<int64_t> place(static_cast<size_t>(kTokenGrid * kTokenGrid * kTokenGrid), -1);
  for (const TokenCell& cell : tokens.cells) {
    place[static_cast<size_t>(cell.grid_index())] = packed_tokens();
    packed_grid_index_.push_back(cell.grid_index());
  }
  auto cells = cells_by_location(options, tokens);
  for (int64_t l = 0; l < kLocations; ++l) {
    Location location{
        .location = l, .cells = {}, .first_child = {}, .sources = {}, .units = {}, .first_row = rows_};
    location.cells[0] = std::move(cells[static_cast<size_t>(l)]);
    for (int64_t clip = 0; clip < clips_ && !location.cells[0].empty(); ++clip) {
      for (int64_t block = 0; block < kTimeBlocks; ++block) {
        if (choice[static_cast<size_t>(clip)][static_cast<size_t>(block * kLocations + l)] != 0) {
          location.units.emplace_back(clip, block);
        }
      }
    }
    if (location.units.empty()) {
      continue;
    }
    add_coarser_levels(location);
    for (const TokenCell& cell : location.cells[0]) {
      location.sources.push_back(place[static_cast<size_t>(cell.grid_index())]);
    }
    for (int level = 0; level < kLevels; ++level) {
      rows_[static_cast<size_t>(level)] +=
          static_cast<int64_t>(location.units.size()) * location.unit_rows(level);
    }
    locations_.push_back(std::move(location));
  }
  const std::vector<RowCell> final_rows = this->cells(kLevels - 1);
  clip_major_.resize(final_rows.size());
  std::iota(clip_major_.begin(), clip_major_.end(), 0);
  std::sort(clip_major_.begin(), clip_major_.end(), [&final_rows](int64_t a, int64_t b) {
    const auto key = [&final_rows](int64_t i) {
      const RowCell& c = final_rows[static_cast<size_t>(i)];
      return std::make_tuple(c.clip, c.t, c.d, c.h, c.w);
    };
    return key(a) < key(b);
  });
  const std::vector<int64_t> lengths = clip_rows();
  if (std::find(lengths.begin(), lengths.end(), 0) != lengths.end()) {
    throw Error(message::kBadValue,
                "A clip has no mask unit that exists in mode " + std::string(name_of(background_)) + ".");
  }
}

std::vector<Slab> TokenLayout::mask_unit_slabs(int level) const {
  std::vector<Slab> slabs;
  for (const Location& location : locations_) {
    slabs.push_back({.first_row = location.first_row[static_cast<size_t>(level)],
                     .groups = static_cast<int64_t>(location.units.size()),
                     .rows = location.unit_rows(level)});
  }
  return slabs;
}

std::vector<int64_t> TokenLayout::clip_rows() const {
  std::vector<int64_t> rows(static_cast<size_t>(clips_), 0);
  for (const Location& location : locations_) {
    for (const auto& [clip, block] : location.units) {
      rows[static_cast<size_t>(clip)] += location.unit_rows(kLevels - 1);
    }
  }
  return rows;
}

std::vector<Slab> TokenLayout::clip_slabs() const {
  std::vector<Slab> slabs;
  int64_t first = 0;
  for (const int64_t rows : clip_rows()) {
    if (!slabs.empty() && slabs.back().rows == rows) {
      ++slabs.back().groups;
    } else {
      slabs.push_back({.first_row = first, .groups = 1, .rows = rows});
    }
    first += rows;
  }
  return slabs;
}

std::vector<Children> TokenLayout::children(int level) const {
  std::vector<Children> children;
  children.reserve(static_cast<size_t>(rows(level + 1)));
  for (const Location& location : locations_) {
    const auto k = static_cast<size_t>(level);
    const std::vector<int64_t>& first_child = location.first_child[k];
    const auto frame = static_cast<int64_t>(location.cells[k].size());
    const int64_t pairs = static_cast<int64_t>(location.units.size()) * (kUnitFrames >> (level + 1));
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const int64_t start = location.first_row[k] + 2 * pair * frame;
      for (size_t j = 0; j + 1 < first_child.size(); ++j) {
        children.push_back({.first = start + first_child[j],
                            .second = start + frame + first_child[j],
                            .count = first_child[j + 1] - first_child[j]});
      }
    }
  }
  return children;
}

std::vector<RowCell> TokenLayout::cells(int level) const {
  std::vector<RowCell> rows;
  rows.reserve(static_cast<size_t>(this->rows(level)));
  const int64_t frames = kUnitFrames >> level;
  for (const Location& location : locations_) {
    for (const auto& [clip, block] : location.units) {
      for (int64_t frame = 0; frame < frames; ++frame) {
        for (const TokenCell& cell : location.cells[static_cast<size_t>(level)]) {
          rows.push_back({clip, static_cast<int>(block * frames + frame), cell.d, cell.h, cell.w});
        }
      }
    }
  }
  return rows;
}

std::vector<RowCell> TokenLayout::final_cells() const {
  const std::vector<RowCell> rows = cells(kLevels - 1);
  std::vector<RowCell> ordered;
  ordered.reserve(rows.size());
  for (const int64_t row : clip_major_) {
    ordered.push_back(rows[static_cast<size_t>(row)]);
  }
  return ordered;
}

}  // namespace slim::model
